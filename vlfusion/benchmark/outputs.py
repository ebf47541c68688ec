"""The files of a comparison.

    OUT/leaderboard.md              everything to read: tables, ties, ranks under other ways of scoring, costs
    OUT/leaderboards/SET.tex .json  each table for a paper, or for a program; also of each subset, SET_SUBSET
    OUT/leaderboards/SET_METRIC.pdf critical-difference diagrams
    OUT/scores.csv                  one line for each score of each image
    OUT/costs.csv                   parameters, multiplications, time and memory by method and size
    OUT/scores.json costs.json      meaning of the columns of the two
    OUT/fused/SET/METHOD/NAME.png   fused images of the methods
    OUT/manifest.json               code, packages, hardware, inputs, protocol, time
    OUT/downstream/STUDY/           networks, findings, tables and pictures of each downstream study
    OUT/report.html                 all of it in one page
"""

import importlib.util
import json
import math
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from vlfusion.analysis.ablation import Ablation
from vlfusion.analysis.diagram import critical_difference
from vlfusion.analysis.leaderboard import Leaderboard, higher, places_of, print_board
from vlfusion.analysis.numbers import UNDEFINED, measured_time, numeral
from vlfusion.benchmark.report import write_report
from vlfusion.benchmark.results import Cost, SetResult
from vlfusion.benchmark.run import Run, Unit
from vlfusion.benchmark.study_result import StudyResult
from vlfusion.data.names import file_names, inside
from vlfusion.errors import ConfigError, printable
from vlfusion.evaluation.controls import CONTROL
from vlfusion.evaluation.record import SCHEMA, facts
from vlfusion.evaluation.rows import columns
from vlfusion.files import content_digest, whole, whole_file, write_json
from vlfusion.guards.cells import markdown_cell, markdown_table, terminal_cell, write_table
from vlfusion.imaging.lettering import fonts_for, without_font_warnings
from vlfusion.imaging.protocol import code_of

#: Columns of tables that contain words.
WORDS = ('method', 'width x height', 'device')
#: Columns of scores.csv.
SCORE = {
    'dataset': 'name of the data set',
    'method': 'name of the method, or of the control image',
    'kind': 'method or control',
    'repeat': 'run of a method that has several',
    'output': 'policy by which the output became grey levels',
    'name': 'name of the pair',
    'protocol': 'label, such as film.1',
    'metric': 'full name, such as MI:film',
    'value': 'score',
    'reason': 'reason why a score is not finite',
}
#: Columns of costs.csv.
COSTS = {
    'dataset': 'name of the data set',
    'method': 'name of the method',
    'height': 'height of the images, in pixels',
    'width': 'width of the images, in pixels',
    'pairs': 'number of pairs of this size',
    'parameters': 'number of weights',
    'macs': 'multiply-adds for one pair',
    'seconds': 'median time of a forward pass',
    'memory': 'largest number of bytes that a forward pass takes beyond those that the process held before',
    'device': 'device on which the method ran',
}


def check_needs() -> None:
    """Raise a ConfigError if a package is missing that writing the results needs."""
    for package in ('scipy', 'jinja2', 'matplotlib', 'scikit_posthocs'):
        if importlib.util.find_spec(package) is None:
            raise ConfigError(f'A comparison needs {package}, which is not installed.',
                              "pip install 'vlfusion[benchmark]'")


def write_scores(path: Path, run: Run, units: Sequence[Unit]) -> None:
    """Write a line for each score, with a reason if it is not finite, and the record beside it (`.json`)."""
    with whole_file(path) as file:
        write_table(file, list(SCORE), _scores(run, units))
    scored = dict.fromkeys(column for unit in units for column in unit.columns)
    write_json(path.with_suffix('.json'), {**facts(run.plan.protocol, list(scored)), 'columns': SCORE})


def _scores(run: Run, units: Iterable[Unit]) -> Iterator[dict[str, Any]]:
    label = run.plan.protocol.label
    for unit in units:
        if (unit.dataset.name, unit.method) in run.failures:
            continue
        kind = 'control' if unit.method.startswith(CONTROL) else 'method'
        for column, value in run.scores(unit).items():
            reason = '' if math.isfinite(value) else run.reasons(unit, column)
            yield dict(zip(SCORE, (unit.dataset.name, unit.method.removeprefix(CONTROL), kind, unit.repeat,
                                   unit.output, unit.pair.name, label, column, value, reason), strict=True))


def write_boards(out: Path, sets: Sequence[SetResult], studies: Sequence[StudyResult] = ()) -> list[Path]:
    """Write the tables and diagrams of every data set, and a page of these and of all studies; returns the files."""
    boards = {f'{result.name} {name}'.rstrip(): board for result in sets
              for name, board in {'': result.board, **result.subsets}.items()}
    diagrams = {f'{result.name} {metric}': (result, metric, comparison) for result in sets
                for metric, comparison in result.board.comparisons.items() if len(comparison.ranks) > 2}
    names, written = file_names([*boards, *diagrams]), []
    folder = out / 'leaderboards'
    for name, board in boards.items():
        for ending in ('.tex', '.json'):
            written.append(folder / f'{names[name]}{ending}')
            board.write(written[-1])
    methods = [method for result, *_ in diagrams.values() for method in result.board.methods]
    if methods and (note := fonts_for(methods).note):
        print(note, file=sys.stderr)
    for name, (result, metric, comparison) in diagrams.items():
        values = {method: columns(result.rows[method])[metric] for method in comparison.ranks}
        figure = critical_difference(values, comparison, higher(metric, code_of(result.board.protocol)))
        written.append(folder / f'{names[name]}.pdf')
        with whole(written[-1]) as file, without_font_warnings():
            figure.savefig(file, format='pdf', bbox_inches='tight', metadata={'CreationDate': None})
    with whole_file(out / 'leaderboard.md') as file:
        file.write('\n'.join([*map(summary, sets), *(study.markdown() for study in studies)]))
    return written


def summary(result: SetResult) -> str:
    """All tables of a data set in Markdown."""
    parts = []
    for heading, content in _parts(result):
        if isinstance(content, Leaderboard):
            warning = f'\n{content.warning}\n' if content.warning else ''
            parts += [f'{"###" if parts else "##"} {heading}', '', content.markdown() + warning]
        else:
            head, *rows = ([markdown_cell(cell) for cell in line] for line in content)
            parts += [f'### {heading}', '', markdown_table(head, rows)]
    return '\n'.join(parts)


def print_summary(result: SetResult, console: Console) -> None:
    """Print all tables of a data set: as tables on a terminal, in Markdown elsewhere."""
    if not console.is_terminal:
        print(summary(result))
        return
    for heading, content in _parts(result):
        if isinstance(content, Leaderboard):
            print_board(content, console, heading)
            if content.warning:
                console.print(content.warning, style='yellow', highlight=False)
        else:
            head, *rows = content
            console.print(printable(heading), markup=False, highlight=False, style='bold')
            table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
            for name in head:
                table.add_column(terminal_cell(name), justify='left' if name in WORDS else 'right', overflow='fold')
            for row in rows:
                table.add_row(*map(terminal_cell, row))
            console.print(table)
        console.print()


def _parts(result: SetResult) -> Iterator[tuple[str, Leaderboard | list[list[str]]]]:
    """The tables of a data set with their headings; a table that is not a leaderboard begins with its column names."""
    images = result.board.images
    yield f'{result.name}: {images} pair{"s" * (images != 1)}, protocol {result.board.protocol}', result.board
    for name, subset in result.subsets.items():
        yield f'{result.name}, {name}: {subset.images} pairs', subset
    if len(result.robustness) > 1:
        yield 'Mean rank under other ways of scoring', _robustness(result.robustness)
    if result.costs:
        yield 'Costs', _costs(result.costs)


def _robustness(ways: Mapping[str, Mapping[str, float]]) -> list[list[str]]:
    """A column for each way of scoring, and the range of places of each method, counted from 1."""
    places = {way: places_of(ranks) for way, ranks in ways.items()}
    methods = sorted(next(iter(places.values())), key=lambda method: next(iter(places.values()))[method])
    lines = [['method', *ways, 'places']]
    for method in methods:
        taken = sorted({place[method] for place in places.values() if place[method]})
        lines.append([method, *(numeral(ranks[method], '.2f') for ranks in ways.values()),
                      ' to '.join(map(str, dict.fromkeys([taken[0], taken[-1]]))) if taken else UNDEFINED])
    return lines


def _costs(costs: Sequence[Cost]) -> list[list[str]]:
    """A line for each method, at the size that most of its pairs have."""
    lines = [['method', 'width x height', 'parameters', 'MACs', 'time', 'memory', 'device']]
    for method in dict.fromkeys(cost.method for cost in costs):
        cost = max((cost for cost in costs if cost.method == method), key=lambda cost: cost.pairs)
        lines.append([method, f'{cost.width} x {cost.height}', f'{cost.parameters:,}',
                      f'{cost.macs / 1e9:.2f} G' if cost.macs else '', measured_time(cost.seconds),
                      f'{cost.memory / 2**20:.0f} MiB' if cost.memory is not None else '', cost.device])
    return lines


def write_costs(path: Path, sets: Sequence[SetResult]) -> None:
    """Write a line for each method and size, and the meaning of the columns beside it (`.json`)."""
    with whole_file(path) as file:
        write_table(file, list(COSTS), ({'dataset': result.name, **asdict(cost)}
                                        for result in sets for cost in result.costs))
    write_json(path.with_suffix('.json'), {'schema': SCHEMA, 'columns': COSTS})


def write_pictures(out: Path, sets: Sequence[SetResult]) -> list[Path]:
    """Write the fused images of the methods, and return the files; unchanged files are not copied."""
    folders, written = file_names([result.name for result in sets]), []
    for result in sets:
        methods = file_names(list(dict.fromkeys(method for pair in result.pairs for method in pair.fused)))
        for pair in result.pairs:
            for method, source in pair.fused.items():
                target = out / 'fused' / folders[result.name] / methods[method] / f'{pair.name}{source.suffix}'
                written.append(target)
                if not target.is_file() or content_digest(target) != content_digest(source):
                    with whole(target) as copy:
                        shutil.copyfile(source, copy)
    return written


def remove_others(out: Path, written: Iterable[Path]) -> list[str]:
    """Remove files of an earlier run that this run did not write; returns the names of this run's files.

    The manifest lists the earlier files. It may come from somewhere else, so only files that a comparison writes are
    removed.
    """
    new = sorted(path.relative_to(out).as_posix() for path in written)
    try:
        before = json.loads((out / 'manifest.json').read_text(encoding='utf-8'))['files']
        others = [inside(out, name, '') for name in set(before) - set(new)
                  if name == 'report.html' or name.startswith(('fused/', 'leaderboards/'))]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        others = []  # there is no manifest of an earlier run
    for path in others:
        path.unlink(missing_ok=True)
    return new


def write_manifest(path: Path, content: Mapping[str, Any]) -> None:
    """Write the manifest as strict JSON."""
    write_json(path, json.loads(json.dumps(content, default=str)))


def write_all(out: Path, run: Run, units: Sequence[Unit], sets: Sequence[SetResult], manifest: Mapping[str, Any],
              report: bool = True, ablation: Ablation | None = None,
              studies: Sequence[StudyResult] = ()) -> list[Path]:
    """Write everything but the cache; returns the files that a reader should open."""
    write_scores(out / 'scores.csv', run, units)
    write_costs(out / 'costs.csv', sets)
    reports = [out / 'report.html'] if report else []
    written = [*write_pictures(out, sets), *write_boards(out, sets, studies), *reports]
    manifest = {**manifest, 'files': remove_others(out, written)}
    write_manifest(out / 'manifest.json', manifest)
    for path in reports:
        write_report(path, sets, {**manifest, 'files': len(written)}, ablation, title=run.plan.title,
                     studies=studies)
    return [out / 'leaderboard.md', *reports]
