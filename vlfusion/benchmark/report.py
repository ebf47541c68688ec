"""The report of a benchmark: one HTML file that opens from disk and needs no network.

The template `report_assets/report.html` lays out the page; this module makes its data. Pictures are at the end of the
page, in a block of JSON for each pair. The browser keeps a block as text until its pair is opened.
"""

import base64
import hashlib
import json
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
import torch
from jaxtyping import Shaped

from vlfusion.analysis.ablation import Ablation
from vlfusion.analysis.conclusion import conclude, rewarded_controls
from vlfusion.analysis.diagram import critical_difference, distribution, svg
from vlfusion.analysis.leaderboard import TIE, Leaderboard, higher, places_of
from vlfusion.analysis.numbers import UNDEFINED, measured_time, numeral, span, without_zeros
from vlfusion.analysis.statistics import Comparison
from vlfusion.benchmark.results import Cost, PairResult, SetResult
from vlfusion.benchmark.study_result import StudyResult
from vlfusion.errors import ConfigError, DataError, needs
from vlfusion.evaluation.controls import CONTROL, control_images
from vlfusion.files import whole_file
from vlfusion.imaging.chroma import add_chroma
from vlfusion.imaging.images import luminance, read_image, to_8bit
from vlfusion.imaging.protocol import code_of
from vlfusion.imaging.reading.rule import AS_STORED, Reading
from vlfusion.imaging.tasks import TASKS
from vlfusion.metrics.columns import heading, info_of
from vlfusion.system.workers import in_order

ASSETS = Path(__file__).with_name('report_assets')
#: The strip of pictures at the top: longest side in pixels, most methods, and number of pairs to choose from.
STRIP_SIDE, STRIP_METHODS, STRIP_CHOICE = 320, 6, 24
#: Control images that the strip may show; copies of the sources stand there already.
SHOWN_CONTROLS = ('noisy mean', 'mean', 'maximum')
#: Largest number of pairs whose names are listed unfolded.
LISTED = 60
#: Number of a method's worst and best pairs that are named under each metric.
EXTREMES = 3


def write_report(path: str | os.PathLike, sets: Sequence[SetResult], manifest: Mapping[str, Any],
                 ablation: Ablation | None = None, title: str = 'A comparison of image fusion methods',
                 image_side: int = 640, quality: int = 85, studies: Sequence[StudyResult] = ()) -> None:
    """Write the report. Missing folders are made; a reader never sees half a file.

    Names, texts and messages may contain anything: they are shown as they are, and never run. A picture that cannot be
    read is replaced by the reason. Links to the original files are relative to the report.

    Args:
        path: HTML file to write.
        sets: results on each data set.
        manifest: record of the comparison; shown as JSON.
        ablation: effects of the text on a method, if they were tested.
        title: title of the page.
        image_side: longest side of the pictures in pixels; larger pictures are scaled down, smaller are not enlarged.
        quality: quality of their compression (WebP), 1..100.
        studies: downstream studies with tables in the report.

    Raises:
        ConfigError: jinja2, matplotlib or scikit-posthocs is not installed, or a number is out of its range.
    """
    if not 1 <= quality <= 100 or image_side < 1:
        raise ConfigError(f'Expected a quality of 1 to 100 and a side of 1 pixel or more, but got {quality} and '
                          f'{image_side}.', 'Correct the numbers.')
    with needs('A report', 'jinja2', 'benchmark'):
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
        from markupsafe import Markup

    pages = Environment(loader=FileSystemLoader(ASSETS), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
                        lstrip_blocks=True)
    pages.filters['breakable'] = lambda name: Markup('<wbr>').join(re.split(
        r'(?<=[a-z0-9])(?=[A-Z])|(?<=[_/.:-])(?=\w)', name))
    scripts = [(ASSETS / name).read_text(encoding='utf-8')
               for name in ('sortable.min.js', 'panzoom.min.js', 'report.js')]
    picture = _Pictures(Path(path).absolute().parent, image_side, quality)
    small = _Pictures(picture.folder, min(image_side, STRIP_SIDE), quality)
    sections = [_section(result, f'set-{index}', Markup, small) for index, result in enumerate(sets, 1)]
    with whole_file(path) as file, ThreadPoolExecutor(os.cpu_count()) as pool:
        blocks = ((f'pair-{number}-{index}', block) for number, result in enumerate(sets)
                  for index, block in enumerate(in_order(pool, lambda make: make(), _blocks(result, picture), ahead=8)))
        # The digests allow these scripts only, whatever a name contains; and nothing is fetched.
        page = pages.get_template('report.html').generate(
            title=title, sections=sections, ablation=ablation and _ablation(ablation, picture), blocks=blocks,
            studies=[_study(study, f'study-{index}', _Pictures(picture.folder, 1600, quality))
                     for index, study in enumerate(studies, 1)],
            index=dict(sets=[_index(result, section['anchor'])
                             for result, section in zip(sets, sections, strict=True)]),
            manifest=json.dumps(manifest, indent=1, default=str, ensure_ascii=False), image_side=image_side,
            style=Markup((ASSETS / 'report.css').read_text(encoding='utf-8')),
            scripts=[Markup(script) for script in scripts], digests=[_digest(script) for script in scripts])
        file.writelines(page)


def _section(result: SetResult, anchor: str, markup: Callable[[str], str], picture: '_Pictures') -> dict[str, Any]:
    """Data of the template about one data set."""
    board, code, table = result.board, code_of(result.board.protocol), _table(result.name, result.board)
    methods, metrics = board.methods, table['metrics']
    task = TASKS.get(result.task)
    scores = {name: {metric: _column(result, name, metric) for metric in board.comparisons} for name in result.rows}
    figures = [dict(metric=metric, **_figures(result, index, scores, f'{anchor}-{index}', markup))
               for index, metric in enumerate(board.comparisons)]
    extremes = [dict(metric=heading, rows=[(method, *_extremes(result, method, metric, code)) for method in methods])
                for metric, heading in zip(board.comparisons, metrics, strict=True)]
    return dict(name=result.name, anchor=anchor, task=task.title if task else result.task, board=board, table=table,
                conclusion=conclude(board), strip=_strip(result, picture), places=_places(board),
                subsets=[_table(f'{result.name}: {name}', subset) for name, subset in result.subsets.items()],
                figures=figures, extremes=extremes, costs=[_cost(cost) for cost in result.costs],
                robustness=_robustness(result.robustness, methods),
                pairs=[(pair.name, _route(result, pair.name)) for pair in result.pairs],
                unfolded=len(result.pairs) <= LISTED)


def _strip(result: SetResult, picture: '_Pictures') -> dict[str, Any]:
    """The pair at the top of the section: its name, its route, and its pictures.

    These are its sources, the results of the first methods and of the last one, and a control image.
    """
    if not (pair := _most_detailed(result.pairs)):
        return dict(pictures=[])
    methods = [method for method in result.board.methods if method in pair.fused]
    left_out = methods[STRIP_METHODS - 1:-1] if len(methods) > STRIP_METHODS else []
    places = result.board.places()
    pictures = [dict(**source, says='') for source in _sources(result, pair, picture)]
    pictures += [dict(name=method, says=_place(places, method), **picture(pair.fused[method]))
                 for method in methods if method not in left_out]
    if control := _shown_control(result.board):
        pictures.append(dict(name=control, says='made by no method', **picture.of(_control(result, pair, control))))
    return dict(pair=pair.name, route=_route(result, pair.name), left_out=len(left_out), control=control,
                pictures=[shown for shown in pictures if shown['picture']])


def _place(places: Mapping[str, tuple[int, int, int]], method: str) -> str:
    """The places that a method may take, in words; empty without a rank."""
    if method not in places:
        return ''
    _, first, last = places[method]
    return f'place{"s" * (first < last)} {span(first, last)} of {len(places)}'


def _shown_control(board: Leaderboard) -> str:
    """The control image that scores better than every method under the most metrics; empty if there is none."""
    beats = Counter(name for controls in rewarded_controls(board).values() for name in controls)
    present = [CONTROL + name for name in SHOWN_CONTROLS if CONTROL + name in board.references]
    return max(present, key=lambda name: beats[name], default='')


def _control(result: SetResult, pair: PairResult, control: str) -> Shaped[np.ndarray, 'h w *bgr']:
    """A control image of a pair, in the colours that results have."""
    sources = [read_image(path, reading)
               for path, reading in zip((pair.source_a, pair.source_b), pair.readings, strict=True)]
    levels = (torch.from_numpy(np.round(luminance(image) * 255))[None, None].double() for image in sources)
    grey = control_images(pair.name, *levels)[control.removeprefix(CONTROL)][0, 0].numpy().astype(np.uint8)
    task = TASKS.get(result.task)
    chroma = result.chroma or (task.chroma if task else '')
    return add_chroma(grey, *sources, chroma) if chroma else grey


def _places(board: Leaderboard) -> list[dict[str, Any]]:
    """Data of the chart of places: a row for each method that has one."""
    places, ranks = board.places(), board.mean_ranks()
    return [dict(method=method, place=place, first=first, last=last, of=len(places), rank=f'{ranks[method]:.2f}',
                 shown=span(first, last), says=_place(places, method))
            for method in board.methods if method in places for place, first, last in [places[method]]]


def _most_detailed(pairs: Sequence[PairResult]) -> PairResult | None:
    """The most detailed of some evenly spread pairs, by the source with less variation; None if none can be read."""
    step = max(1, len(pairs) // STRIP_CHOICE)
    best, most = None, -1.
    for pair in pairs[::step]:
        try:
            detail = min(float(luminance(read_image(path, reading)).std())
                         for path, reading in zip((pair.source_a, pair.source_b), pair.readings, strict=True))
        except DataError:
            continue
        if detail > most:
            best, most = pair, detail
    return best


def _sources(result: SetResult, pair: PairResult, picture: '_Pictures') -> list[dict[str, Any]]:
    """The sources of a pair, with their modalities."""
    task = TASKS.get(result.task)
    words = [own or other for own, other in zip(
        pair.modalities, (task.modality_a, task.modality_b) if task else ('', ''), strict=True)]
    files = zip('AB', words, (pair.source_a, pair.source_b), pair.readings, strict=True)
    return [dict(name=f'source {side}' + f': {word}' * bool(word), **picture(path, reading))
            for side, word, path, reading in files]


def _table(name: str, board: Leaderboard) -> dict[str, Any]:
    """A leaderboard: its headings, its methods, and the rows that take no part in the comparison."""
    ranks, places, forms = board.mean_ranks(), board.places(), board.formats()
    rows = []
    for method in board.methods:
        place, first, last = places.get(method, (0, 0, 0))
        rows.append(dict(method=method, rank=numeral(ranks[method], '.2f'), value=_sortable(ranks[method]), place=place,
                         span=span(first, last) if first < last else '',
                         cells=[_cell(comparison, method, forms[metric])
                                for metric, comparison in board.comparisons.items()]))
    references = [dict(name=name, cells=[_reference(row.get(metric), form) for metric, form in forms.items()])
                  for name, row in board.references.items()]
    return dict(name=name, board=board, rows=rows, references=references, doubt=board.doubt,
                metrics=[_heading(metric, code_of(board.protocol)) for metric in board.comparisons])


def _heading(metric: str, code: str) -> dict[str, str]:
    info = info_of(metric, code)
    return dict(name=metric, arrow=info.arrow,
                label=f'{info.title} ({info.label}{", " * bool(info.unit)}{info.unit}); {info.direction} is better')


def _reference(value: float | None, form: str) -> dict[str, Any]:
    """The cell of a row that takes no part. Trailing zeros become blank space: its source may print fewer digits."""
    if value is None:
        return dict(shown='', pad='', value='')
    text, pad = without_zeros(numeral(value, form))
    return dict(shown=text, pad=pad, value=_sortable(value))


def _cell(comparison: Comparison, method: str, form: str) -> dict[str, Any]:
    """A method's mean under a metric.

    It is `best` if it is significantly better than every other, and a `tie` if no other is better but it does not beat
    all of them.
    """
    if method not in comparison.means:
        return dict(shown=UNDEFINED, rank='', value='', best=False, tie='', interval=UNDEFINED)
    best = method == comparison.winner
    tie = method in comparison.best and len(comparison.means) > 1
    low, high = comparison.intervals[method]
    return dict(shown=f'{comparison.means[method]:{form}}', rank=comparison.ranks[method],
                value=comparison.means[method], best=best, tie=TIE if tie and not best else '',
                interval=f'[{low:{form}}, {high:{form}}]')


def _column(result: SetResult, name: str, metric: str) -> np.ndarray:
    """A row's scores in the order of the pairs, NaN for a pair without a score."""
    scores = {row['name']: row.get(metric, math.nan) for row in result.rows[name]}
    return np.array([scores.get(pair.name, math.nan) for pair in result.pairs], float)


def _figures(result: SetResult, index: int, scores: Mapping[str, Mapping[str, np.ndarray]], prefix: str,
             markup: Callable[[str], str]) -> dict[str, Any]:
    """The distribution of a metric's scores and the critical-difference diagram, as elements of the page."""
    metric, comparison = list(result.board.comparisons.items())[index]
    code = code_of(result.board.protocol)
    label = heading(metric, code)
    methods = [method for method in result.board.methods if method in scores]
    others = [name for name in scores if name not in methods]
    boxes = distribution({name: scores[name][metric] for name in methods}, label,
                         {name: scores[name][metric] for name in others})
    shown = dict(boxes=markup(svg(boxes, f'{metric}: a box for each method over the images', f'{prefix}-box')),
                 differences='', p=_level(comparison.p),
                 missing=[name for name in methods if not np.isfinite(scores[name][metric]).all()])
    compared = {name: scores[name][metric] for name in comparison.means if name in scores}
    if 1 < len(compared) == len(comparison.means):
        ranks = critical_difference(compared, comparison, higher(metric, code))
        shown['differences'] = markup(svg(ranks, f'{metric}: mean ranks of the methods; bars join those that do not '
                                          'differ', f'{prefix}-ranks'))
    return shown


def _level(p: float) -> str:
    return f'{p:.2g}' if p > 1e-16 else 'below 1e-16'


def _extremes(result: SetResult, method: str, metric: str, code: str) -> tuple[list, list]:
    """The worst and the best pairs of a method, each as name, route and score, without scores that are not finite."""
    values = _column(result, method, metric) if method in result.rows else np.full(len(result.pairs), math.nan)
    order = [index for index in np.argsort(values, kind='stable').tolist() if math.isfinite(values[index])]
    if not higher(metric, code):
        order.reverse()
    ranked = [(name := result.pairs[index].name, _route(result, name), f'{values[index]:.4g}') for index in order]
    return ranked[:EXTREMES], ranked[::-1][:EXTREMES]


def _route(result: SetResult, pair: str) -> str:
    """Part of a pair's address behind the `#`."""
    return f'{quote(result.name, safe="")}/{quote(pair, safe="")}'


def _cost(cost: Cost) -> dict[str, Any]:
    return dict(method=cost.method, size=f'{cost.width} × {cost.height}', pixels=cost.width * cost.height,
                pairs=cost.pairs, device=cost.device, parameters=(_short(cost.parameters), cost.parameters),
                macs=(_short(cost.macs), cost.macs), seconds=(measured_time(cost.seconds), cost.seconds),
                memory=(UNDEFINED if cost.memory is None else f'{cost.memory / 2 ** 20:.1f} MiB', cost.memory))


def _short(count: int | None) -> str:
    """
    >>> _short(1234567), _short(950), _short(None)
    ('1.23 M', '950', 'n/a')
    """
    if count is None:
        return UNDEFINED
    for size, letter in ((1e12, 'T'), (1e9, 'G'), (1e6, 'M'), (1e3, 'k')):
        if count >= size:
            return f'{count / size:.3g} {letter}'
    return str(count)


def _robustness(ways: Mapping[str, Mapping[str, float]], methods: Sequence[str]) -> dict[str, Any]:
    """Each method's mean rank and place under every way of scoring, and the span of its places."""
    places = {way: places_of(ranks) for way, ranks in ways.items()}
    names = dict.fromkeys([*methods, *(method for ranks in ways.values() for method in ranks)])
    rows = []
    for method in names:
        own = [places[way].get(method) for way in ways]
        cells = [(numeral(ranks.get(method, math.nan), '.2f'), _sortable(ranks.get(method, math.nan)), place)
                 for ranks, place in zip(ways.values(), own, strict=True)]
        known = [place for place in own if place]
        rows.append(dict(method=method, cells=cells, first=own[0] if own else None,
                         moves=max(known) - min(known) if len(known) == len(own) > 0 else None))
    return dict(ways=list(ways), rows=rows)


def _study(study: StudyResult, anchor: str, picture: '_Pictures') -> dict[str, Any]:
    """Data of the template about a downstream study."""
    sheets = [path for path in study.files if path.suffix == '.png']
    head, *rows = study.per_class()
    return dict(title=study.plan.title, anchor=anchor, network=study.network,
                table=_table(study.plan.title, study.board), verdicts=list(study.verdicts().values()),
                classes=dict(head=head, rows=rows, score=study.class_score), sheets=[picture(path) for path in sheets])


def _ablation(found: Ablation, picture: '_Pictures') -> dict[str, Any]:
    """Data of the template about an ablation: for each text the change of the pixels, its effects and its map."""
    code = code_of(found.protocol)
    metrics = list(dict.fromkeys(metric for effects in found.effects.values() for metric in effects))
    own = {metric: effects[metric].own for effects in found.effects.values() for metric in effects}
    texts = []
    for policy, change in found.changes.items():
        effects = [found.effects.get(policy, {}).get(metric) for metric in metrics]
        texts.append(dict(name=policy, says=found.texts.get(policy, ''), mean=f'{change.mean:.3g}',
                          interval=_interval(change.interval), maximum=f'{change.maximum:.3g}', effects=[
                              effect and math.isfinite(effect.p) and dict(
                                  shown=f'{effect.difference:+.3g}', interval=_interval(effect.interval, '+'),
                                  p=f'{effect.p:.2g}', counts=effect.p < found.alpha) for effect in effects]))
    maps = []
    for policy, path in found.maps.items():
        scale = found.scales.get(policy)
        maps.append(dict(name=policy, says='' if scale is None else f'× {scale.factor:g}' + (
            f', {scale.pair}' if scale.pair else ', mean over the pairs'), **picture(path)))
    return dict(found=found, metrics=[_heading(metric, code) for metric in metrics],
                own=[numeral(own[metric], '.4g') for metric in metrics], texts=texts, maps=maps)


def _interval(ends: tuple[float, float], sign: str = '') -> str:
    return f'[{ends[0]:{sign}.3g}, {ends[1]:{sign}.3g}]'


def _index(result: SetResult, anchor: str) -> dict[str, Any]:
    """Data of the script about a data set before any of its pairs is opened."""
    code = code_of(result.board.protocol)
    return dict(name=result.name, anchor=anchor, pairs=[pair.name for pair in result.pairs],
                metrics=[_heading(metric, code) for metric in result.board.comparisons])


def _blocks(result: SetResult, picture: '_Pictures') -> Iterator[Callable[[], dict[str, Any]]]:
    """For each pair a function that makes its block."""
    rows = {name: {row['name']: row for row in rows} for name, rows in result.rows.items()}
    known = list(dict.fromkeys([*result.board.methods, *result.board.failures]))

    def block(pair: PairResult) -> dict[str, Any]:
        sources = _sources(result, pair, picture)
        methods = [*known, *(method for method in pair.fused if method not in known)]
        scores = _pair_scores(result, {method: rows.get(method, {}).get(pair.name, {}) for method in methods})
        results = [dict(name=method, scores=scores[method], **(
            picture(pair.fused[method]) if method in pair.fused else
            dict(picture='', link='', problem=result.board.failures.get(method, 'There is no result.'))))
            for method in methods]
        return dict(sources=sources, results=results, texts=list(pair.texts.items()))

    return (lambda pair=pair: block(pair) for pair in result.pairs)


def _pair_scores(result: SetResult, rows: Mapping[str, Mapping[str, Any]]) -> dict[str, list[tuple[str, bool]]]:
    """Scores of a pair by method, in the order of the metrics: the text, and whether no other method is better."""
    code = code_of(result.board.protocol)
    shown = {method: [] for method in rows}
    for metric in result.board.comparisons:
        sign = 1 if higher(metric, code) else -1
        values = {method: float(row[metric]) for method, row in rows.items() if metric in row}
        best = max((sign * value for value in values.values() if math.isfinite(value)), default=math.inf)
        for method in rows:
            value = values.get(method)
            shown[method].append(('' if value is None else f'{value:.4g}', value is not None and sign * value == best))
    return shown


class _Pictures:
    """Lossy copies of images for viewing.

    Args:
        folder: folder of the report; links are relative to it.
        side: longest side of a copy, in pixels.
        quality: quality of WebP, 1..100.
    """

    def __init__(self, folder: Path, side: int, quality: int):
        self.folder, self.side, self.quality = folder, side, quality

    def __call__(self, path: Path, reading: Reading = AS_STORED) -> dict[str, Any]:
        """The copy as a `data:` address, its size, a link to the original, and the problem if it cannot be read."""
        link = self._link(Path(path))
        try:
            image = read_image(path, reading)
        except DataError as error:
            return dict(picture='', link=link, problem=error.problem)
        return self.of(image) | dict(link=link)

    def of(self, image: Shaped[np.ndarray, 'h w *bgr']) -> dict[str, Any]:
        """The copy of an image that has no file."""
        image = to_8bit(image)
        h, w = image.shape[:2]
        if (scale := self.side / max(h, w)) < 1:
            image = cv2.resize(image, (max(1, round(w * scale)), max(1, round(h * scale))),
                               interpolation=cv2.INTER_AREA)
        held = cv2.imencode('.webp', image, [cv2.IMWRITE_WEBP_QUALITY, self.quality])[1]
        return dict(picture=f'data:image/webp;base64,{base64.b64encode(held).decode()}', link='', problem='',
                    height=h, width=w)

    def _link(self, path: Path) -> str:
        try:
            relative = os.path.relpath(path, self.folder)
        except ValueError:  # another drive of Windows
            return path.absolute().as_uri()
        # With the dot in front, a name that contains a colon is not read as a scheme.
        return quote('./' + Path(relative).as_posix(), errors='surrogateescape')


def _sortable(value: float) -> float | str:
    """The key to sort by; empty for a value that is not finite, so that its row comes last."""
    return value if math.isfinite(value) else ''


def _digest(script: str) -> str:
    """Digest of a script, in the form of a Content-Security-Policy."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
