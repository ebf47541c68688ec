"""Did the text do anything? A comparison of the fusion of each pair under its own text and under other texts.

For each text policy (`vlfusion.data.policies`), an ablation measures how much the network's output changes (in grey
levels, before a protocol quantises it), how many 8-bit pixels change, where they change (a map), and how metrics
change. The mean difference of a metric has a bootstrap interval and a p of Wilcoxon's signed-rank test, with Holm's
correction for the number of policies.

    folder/ablation.json     everything but the scores of single images
    folder/ablation.md       the tables
    folder/scores/own.csv    the scores of each image under a policy, as `vlfusion test` writes them; own.json beside it
    folder/changes.csv       changes of each image under each policy
    folder/maps/swapped.png  map of the changes under a policy
"""

import json
import math
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.utils.data import default_collate

from vlfusion.analysis.statistics import adjust, case_means, scipy_stats, too_few, wilcoxon
from vlfusion.analysis.statistics import interval as interval_of
from vlfusion.data.names import case_of, inside
from vlfusion.errors import ConfigError, DataError
from vlfusion.evaluation.evaluator import FusionEvaluator
from vlfusion.evaluation.record import record, write_scores
from vlfusion.evaluation.rows import Row, columns, read_csv
from vlfusion.files import strict_json, whole, whole_file
from vlfusion.guards.cells import markdown_cell, markdown_table, read_table, write_table
from vlfusion.imaging.images import write_image
from vlfusion.imaging.protocol import code_of, get_protocol
from vlfusion.metrics.columns import metric_of
from vlfusion.metrics.scoring import DEFAULT_METRICS
from vlfusion.metrics.undefined import Undefined
from vlfusion.models import text_dims

#: The policy by which the sensitivity is measured.
SENSITIVITY = 'swapped'
#: Columns of `changes.csv`: the change of a pair under a policy.
MOVE = ('name', 'policy', 'mean', 'maximum', 'pixels', 'factor')
Interval = tuple[float, float]


@dataclass(frozen=True)
class Change:
    """Changes of pixels when each pair gets another text.

    Attributes:
        mean: mean absolute change of the network's output, in grey levels (output x 255, before any quantisation),
            averaged over the pairs.
        interval: bootstrap interval of that mean.
        maximum: largest change of any pixel of any pair, in grey levels.
        pixels: share of pixels, 0 to 1, whose 8-bit level under the protocol changes, averaged over the pairs.
    """

    mean: float
    interval: Interval
    maximum: float
    pixels: float


@dataclass(frozen=True)
class Effect:
    """Effect of another text on a metric; all fields but `own` are NaN if a score is not finite.

    Attributes:
        own: mean under the pairs' own texts.
        difference: mean under the policy minus `own`.
        interval: bootstrap interval of the difference.
        p: p of Wilcoxon's test, adjusted by Holm's correction for the policies of the metric.
    """

    own: float
    difference: float
    interval: Interval
    p: float


@dataclass(frozen=True)
class Scale:
    """Scale of a map.

    Attributes:
        factor: factor from the change in grey levels to the levels of the map.
        pair: pair whose change the map shows; None for the mean over all pairs, which then have one size.
    """

    factor: float
    pair: str | None


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """Effects of a model's text, policy by policy.

    Attributes:
        title: title of the ablation.
        dataset: name of the data set.
        images: number of pairs.
        protocol: label of the protocol, such as `film.1`.
        alpha: level below which an adjusted p counts as a difference; intervals are at `1 - alpha`.
        sensitivity: mean absolute change of a pixel, in grey levels, when a pair gets another pair's text, averaged
            over the pairs.
        interval: bootstrap interval of `sensitivity`.
        changes: changes of the pixels, by policy.
        effects: effects on each metric, by policy.
        maps: map of the changing pixels, by policy.
        scales: scale of each map.
        texts: description of each policy.
        notes: notes for the reader.
        inputs: inputs, such as config and checkpoint.
        scores: scores of each image, by policy, including `own`.
        moves: changes of each image under each policy: its `name`, the `policy`, `mean`, `maximum` and `pixels` as in
            `Change`, and the `factor` of its own map.
    """

    title: str
    dataset: str
    images: int
    protocol: str
    alpha: float
    sensitivity: float
    interval: Interval
    changes: dict[str, Change]
    effects: dict[str, dict[str, Effect]]
    maps: dict[str, Path]
    scales: dict[str, Scale] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    inputs: dict[str, str] = field(default_factory=dict)
    scores: dict[str, list[Row]] = field(default_factory=dict)
    moves: tuple[dict, ...] = ()

    @property
    def significant(self) -> dict[str, list[str]]:
        """Metrics that differ significantly from those under the own text, by policy."""
        return {policy: [name for name, effect in of.items() if effect.p < self.alpha]
                for policy, of in self.effects.items()}

    @property
    def cases(self) -> int:
        """Number of cases that the pairs belong to: `images`, unless they are slices of volumes."""
        return len({case_of(row['name']) for row in self.scores.get('own', ())}) or self.images

    @property
    def _independent(self) -> str:
        return f'{self.images} pairs' + (f' of {self.cases} cases' if self.cases < self.images else '')

    @property
    def sentence(self) -> str:
        """A sentence on the sensitivity."""
        change = self.changes[SENSITIVITY]
        if not change.maximum:
            return "Another pair's text changes nothing: all pixels of all pairs are bit-equal."
        low, high = (_short(value) for value in self.interval)
        differing = self.significant[SENSITIVITY]
        verdict = (f'significantly different: {", ".join(differing)}' if differing else
                   f'{self._independent} are too few to tell whether a metric differs'
                   if too_few(self.cases, len(self.changes), self.alpha) else 'no metric differs significantly')
        return (f"Another pair's text changes a pixel by {_short(self.sensitivity)} grey levels on average "
                f'({self._level} interval {low} to {high}), {_short(change.maximum)} at most; {verdict}.')

    def markdown(self) -> str:
        """The sentence, tables of pixels and of metrics, and the notes. Bold marks a significant difference."""
        pixels = [['text', 'change of a pixel', f'{self._level} interval', 'at most', '8-bit pixels changed', 'map']]
        for policy, change in self.changes.items():
            low, high = (_short(value) for value in change.interval)
            pixels.append([self._named(policy), _short(change.mean), f'{low} to {high}', _short(change.maximum),
                           f'{100 * change.pixels:.3g} %', self._scale(policy)])
        names, code = list(next(iter(self.effects.values()))), code_of(self.protocol)
        metrics = [['difference of the mean', *(f'{name} {metric_of(name, code).info.arrow}' for name in names)]]
        metrics.append(['own: mean', *(f'{effect.own:.4g}' for effect in next(iter(self.effects.values())).values())])
        for policy, of in self.effects.items():
            metrics.append([policy, *(self._cell(of[name]) for name in names)])
        notes = [f'Changes are grey levels of the output x 255. {self.images} pairs of {self.dataset}, protocol '
                 f'{self.protocol}; bold: p < {self.alpha:g} (Wilcoxon, Holm).', *self.notes]
        return '\n'.join([f'{self.sentence}\n', markdown_table(pixels[0], pixels[1:]),
                          markdown_table(metrics[0], metrics[1:]), *(f'- {note}' for note in notes), ''])

    def json(self) -> str:
        """Everything but the scores and changes of single images, as `vlfusion.files.strict_json`."""
        maps = {policy: dict(file=f'maps/{path.name}', **asdict(self.scales[policy]))
                for policy, path in self.maps.items()}
        plain = {name: getattr(self, name) for name in ('title', 'dataset', 'images', 'protocol', 'alpha',
                                                        'sensitivity', 'interval', 'texts', 'notes', 'inputs')}
        changes = {policy: asdict(change) for policy, change in self.changes.items()}
        effects = {policy: {name: asdict(effect) for name, effect in of.items()} for policy, of in self.effects.items()}
        return strict_json(dict(plain, changes=changes, effects=effects, maps=maps))

    def write(self, folder: str | os.PathLike) -> None:
        """Write the files that the module's docstring lists; maps in another folder are copied."""
        folder, protocol = Path(folder), get_protocol(self.protocol.partition('.')[0])
        for policy, rows in self.scores.items():
            write_scores(folder / f'scores/{policy}.csv', rows, record(protocol, list(columns(rows)), rows))
        with whole_file(folder / 'changes.csv') as file:
            write_table(file, MOVE, self.moves)
        for path in self.maps.values():
            if (target := folder / 'maps' / path.name).absolute() != path.absolute():
                with whole(target) as copy:
                    shutil.copyfile(path, copy)
        with whole_file(folder / 'ablation.md') as file:
            file.write(f'# Did the text do anything? {self.title}\n\n{self.markdown()}')
        with whole_file(folder / 'ablation.json') as file:
            file.write(self.json())

    @classmethod
    def read(cls, folder: str | os.PathLike) -> 'Ablation':
        """Read the files that `write` wrote.

        Raises:
            DataError: the folder contains no ablation.
        """
        try:
            return cls._read(Path(folder))
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise DataError(f'{folder} contains no ablation: {type(error).__name__}: {error}.',
                            'Make one with `vlfusion ablate-text --out`.') from error

    @classmethod
    def _read(cls, folder: Path) -> 'Ablation':
        record = json.loads((folder / 'ablation.json').read_text(encoding='utf-8'))
        maps = record.pop('maps')
        return cls(**{**record, 'interval': tuple(record['interval']), 'notes': tuple(record['notes'])} | dict(
            changes={policy: Change(**change | {'interval': tuple(change['interval'])})
                     for policy, change in record['changes'].items()},
            effects={policy: {name: Effect(*(_number(effect[key]) for key in ('own', 'difference')),
                                           tuple(map(_number, effect['interval'])), _number(effect['p']))
                              for name, effect in effects.items()} for policy, effects in record['effects'].items()},
            maps={policy: inside(folder, entry['file'], '') for policy, entry in maps.items()},
            scales={policy: Scale(entry['factor'], entry['pair']) for policy, entry in maps.items()},
            scores={policy: read_csv(inside(folder, f'scores/{policy}', '.csv'))
                    for policy in ('own', *record['changes'])},
            moves=tuple(read_table(folder / 'changes.csv', ('name', 'policy'),
                                   'Make it again with `vlfusion ablate-text --out`.'))))

    @property
    def _level(self) -> str:
        return f'{100 * (1 - self.alpha):g} %'

    def _named(self, policy: str) -> str:
        return markdown_cell(f'{policy}: {self.texts[policy]}' if policy in self.texts else policy)

    def _scale(self, policy: str) -> str:
        scale = self.scales[policy]
        return f'x{scale.factor:g}' + (f' ({markdown_cell(scale.pair)})' if scale.pair else '')

    def _cell(self, effect: Effect) -> str:
        if math.isnan(effect.p):
            return 'not finite'
        shown = f'{_short(effect.difference, "+")} ({_short(effect.interval[0])} to {_short(effect.interval[1])})'
        return f'**{shown}**' if effect.p < self.alpha else shown


def ablate(model: nn.Module, datasets: Mapping[str, Any], out: str | os.PathLike, *, protocol: str = 'film',
           metrics: Sequence[str] = DEFAULT_METRICS, title: str = '', alpha: float = 0.05, limit: int | None = None,
           texts: Mapping[str, str] | None = None, notes: Sequence[str] = (), inputs: Mapping[str, str] | None = None,
           pair_maps: bool = False, show: Callable[[Iterable[int]], Iterable[int]] = iter) -> Ablation:
    """Fuse every pair under every policy, singly as in `vlfusion test`, and compare with the result of the own text.

    Memory holds the outputs of one pair at a time, so it does not grow with the data set or the number of policies.

    Args:
        model: a `FusionModel` that reads text; it is put into evaluation mode.
        datasets: data sets by policy, of the same pairs in the same order, including `own` and `swapped`.
        out: folder in which maps are written, to `maps/`.
        protocol: protocol under which outputs are quantised and scored.
        metrics: names of metrics, see `vlfusion.evaluation.FusionEvaluator`.
        title: title of the ablation.
        alpha: level of significance, and of the intervals.
        limit: number of pairs, spread evenly over the data set and so over its subsets; None for all.
        texts: description of each policy.
        notes: notes for the reader.
        inputs: inputs, for the record.
        pair_maps: whether to write a map for every pair too, as `maps/POLICY/NAME.png`.
        show: function that wraps the loop over the pairs' indices, to show progress.

    Raises:
        ConfigError: the model reads no text, or other texts than a data set gives; or a policy or scipy is missing.
        DataError: there are fewer than two pairs, or the data sets differ in their pairs.
    """
    _check(model, datasets)
    scipy_stats()
    own = datasets['own']
    images = min(len(own), limit or len(own))
    if images < 2:
        raise DataError(f'An ablation needs at least two pairs, but there {"is" if images == 1 else "are"} {images}.',
                        'Raise --limit, or use a data set with more pairs.')
    evaluators = {policy: FusionEvaluator(metrics, protocol) for policy in datasets}
    tallies = {policy: _Tally(policy, Path(out), pair_maps) for policy in datasets if policy != 'own'}
    model.eval()
    with torch.no_grad():
        for index in show([place * len(own) // images for place in range(images)]):
            fusion = _Fusion(model, own[index], evaluators['own'])
            for policy, tally in tallies.items():
                tally.add(fusion, _Fusion(model, datasets[policy][index], evaluators[policy]))

    scores = {policy: [row for row, _ in evaluator.results] for policy, evaluator in evaluators.items()}
    undefined = {policy: [score for _, of_pair in evaluator.results for score in of_pair]
                 for policy, evaluator in evaluators.items()}
    maps = {policy: tally.write_map() for policy, tally in tallies.items()}
    changes = {policy: tally.change(alpha) for policy, tally in tallies.items()}
    return Ablation(
        title=title, dataset=own.name, images=images, protocol=evaluators['own'].protocol.label, alpha=alpha,
        sensitivity=changes[SENSITIVITY].mean, interval=changes[SENSITIVITY].interval, changes=changes,
        effects=_effects(scores, alpha), maps={policy: path for policy, (path, _) in maps.items()},
        scales={policy: scale for policy, (_, scale) in maps.items()}, texts=dict(texts or {}),
        notes=(*notes, *_notes(tallies.values(), undefined, images, alpha)), inputs=dict(inputs or {}), scores=scores,
        moves=tuple(move for tally in tallies.values() for move in tally.moves))


def _check(model: nn.Module, datasets: Mapping[str, Any]) -> None:
    """Check that there are texts to compare, and that every data set gives the texts that the model reads."""
    dims = text_dims(model.backbone)
    if not dims:
        raise ConfigError(f'{type(model.backbone).__name__} reads no text, so text has no effect on it.',
                          'Give a config and a checkpoint of a model that is guided by text.')
    if lacking := {'own', SENSITIVITY} - datasets.keys():
        raise ConfigError(f'There is no data set under the text policy {min(lacking)!r}.',
                          f'Give own and {SENSITIVITY}, by which the sensitivity is measured.')
    for policy, dataset in datasets.items():
        for name, width in dims.items():
            if (stored := dataset.text_dims.get(name)) != width:
                raise ConfigError(
                    f'The model reads {name} features of width {width}, but under the text policy {policy!r} the data '
                    f'set {dataset.name} has {"none" if stored is None else f"features of width {stored}"}.',
                    'Use the text encoder that the model was trained with, and the text_source of its config.')


class _Fusion:
    """The fusion of a sample by the model; it is also scored."""

    def __init__(self, model: nn.Module, sample: dict, evaluator: FusionEvaluator):
        batch = default_collate([sample])
        [output] = outputs = model.test_step(batch)
        evaluator.process(batch, outputs)
        fused: Float[Tensor, '1 h w'] = output['fused']
        self.name = sample['name']
        self.grey: Float[Tensor, 'h w'] = fused[0].double().cpu() * 255
        self.levels: UInt8[Tensor, 'h w'] = evaluator.protocol.quantise(fused[None])[0, 0].cpu()
        # Without the padding, whose length may differ between data sets.
        self.texts = {name: sample[name][sample[f'{name}_mask']] for name in text_dims(model.backbone)}


class _Tally:
    """The effects of a policy so far: a few numbers for each pair, and two maps."""

    def __init__(self, policy: str, out: Path, pair_maps: bool):
        self.policy, self.folder, self.pair_maps = policy, out / 'maps', pair_maps
        self.moves: list[dict] = []
        self.same = 0  # number of pairs whose text under the policy equals their own
        self._total: np.ndarray | None = None
        self._one_size = True
        self._most: tuple[float, str, np.ndarray | None] = (-1., '', None)

    def add(self, own: _Fusion, other: _Fusion) -> None:
        """Compare the two fusions of a pair."""
        if own.name != other.name:
            raise DataError(f'The data set under {self.policy} has the pair {other.name!r} instead of {own.name!r}.',
                            'Give data sets of the same pairs in the same order.')
        change = (other.grey - own.grey).abs().numpy()
        mean, maximum = change.mean().item(), change.max().item()
        self.moves.append(dict(name=own.name, policy=self.policy, mean=mean, maximum=maximum, factor=_factor(maximum),
                               pixels=(other.levels != own.levels).double().mean().item()))
        self.same += all(torch.equal(other.texts[name], text) for name, text in own.texts.items())
        if mean > self._most[0]:
            self._most = mean, own.name, change
        self._one_size &= self._total is None or self._total.shape == change.shape
        if self._one_size:
            self._total = change if self._total is None else self._total + change
        if self.pair_maps:
            write_image(inside(self.folder / self.policy, own.name, '.png'), _picture(change, _factor(maximum)))

    def change(self, alpha: float) -> Change:
        """The change over all pairs."""
        means = np.array([move['mean'] for move in self.moves])
        cases = [case_of(move['name']) for move in self.moves]
        return Change(means.mean().item(), interval_of(means, alpha, cases=cases),
                      max(move['maximum'] for move in self.moves),
                      np.mean([move['pixels'] for move in self.moves]).item())

    def write_map(self) -> tuple[Path, Scale]:
        """Write the map of the mean over the pairs; if sizes differ, of the pair that changes most."""
        change = self._total / len(self.moves) if self._one_size else self._most[2]
        scale = Scale(_factor(change.max().item()), None if self._one_size else self._most[1])
        path = self.folder / f'{self.policy}.png'
        write_image(path, _picture(change, scale.factor))
        return path, scale


def _factor(maximum: float) -> float:
    """Factor, rounded to three digits, that stretches the largest change to white."""
    return float(f'{255 / maximum:.3g}') if maximum else 1.


def _picture(change: Float[np.ndarray, 'h w'], factor: float) -> UInt8[np.ndarray, 'h w']:
    return np.round(change * factor).clip(0, 255).astype(np.uint8)


def _effects(scores: Mapping[str, Sequence[Row]], alpha: float) -> dict[str, dict[str, Effect]]:
    """The effects of every policy on each metric, compared with `own`."""
    values = {policy: columns(rows) for policy, rows in scores.items()}
    own, cases = values.pop('own'), [case_of(row['name']) for row in scores['own']]
    effects: dict[str, dict[str, Effect]] = {policy: {} for policy in values}
    for name, base in own.items():
        finite = [policy for policy in values if np.isfinite(values[policy][name] + base).all()]
        raw = [wilcoxon(case_means(values[policy][name], cases), case_means(base, cases)) for policy in finite]
        adjusted = dict(zip(finite, adjust(raw), strict=True))
        for policy in values:
            effect = Effect(base.mean().item(), math.nan, (math.nan, math.nan), math.nan)
            if policy in adjusted:
                difference = values[policy][name] - base
                effect = Effect(base.mean().item(), difference.mean().item(),
                                interval_of(difference, alpha, cases=cases), float(adjusted[policy]))
            effects[policy][name] = effect
    return effects


def _notes(tallies: Iterable[_Tally], undefined: Mapping[str, Sequence[Undefined]], images: int,
           alpha: float) -> list[str]:
    """Notes on the comparison."""
    tallies = list(tallies)
    notes = [f'Under {tally.policy} {tally.same} of {images} pairs got a text that equals their own.'
             for tally in tallies if tally.same]
    notes += [f'Under {policy}, {score}.' for policy, scores in undefined.items() for score in scores]
    cases = len({case_of(move['name']) for tally in tallies for move in tally.moves})
    if too_few(cases, len(tallies), alpha):
        of_cases = f' of {cases} cases' if cases < images else ''
        notes.append(f'{images} pairs{of_cases} are too few to show a difference of a metric between {len(tallies)} '
                     'texts and the own text, however large it is: use more pairs, or fewer texts.')
    return notes


def _short(value: float, sign: str = '') -> str:
    """A number with two digits, enough for a change."""
    return f'{value:{sign if value else ""}.2g}'


def _number(value: float | str | None) -> float:
    """Read a number of `strict_json`; earlier files have null if it is not finite."""
    return math.nan if value is None else float(value)
