"""Obedience: the share of instructions after which the fused picture changes the asked way.

    folder/obedience.json   numbers of each table, and what was measured
    folder/obedience.md     the tables
    folder/cases.csv        every picture under an instruction: its text, its changes, and the verdict
    folder/scores/*.csv     scores of each picture without an instruction, and of another model, if one was given
"""

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vlfusion.analysis.asked_quantities import LEAST_REGION, QUANTITIES, STILL, is_changed
from vlfusion.analysis.conclusion import conclude
from vlfusion.analysis.leaderboard import board_of
from vlfusion.analysis.statistics import interval as interval_of
from vlfusion.data.names import case_of, inside
from vlfusion.errors import DataError
from vlfusion.evaluation.record import record, write_scores
from vlfusion.evaluation.rows import Row, columns, read_csv
from vlfusion.files import strict_json, whole_file
from vlfusion.guards.cells import markdown_cell, markdown_table, read_table, write_table
from vlfusion.imaging.protocol import get_protocol

#: Columns of `cases.csv` that hold text, and all columns. Changes of the asked picture are `asked LeadA` and so on.
WORDS = ('name', 'text', 'intent', 'degree', 'region', 'kind', 'wanted')
COLUMNS = (*WORDS, 'obeyed', 'pixels', 'locality', *QUANTITIES, *(f'asked {name}' for name in QUANTITIES))
#: Locality above which a change keeps to its region.
LOCAL = 2.0
#: Number of sentences in the table of failures.
MOST_FAILURES = 10
#: Signs of a direction in the column `wanted`.
SIGNS = {1: '+', -1: '-', 0: '='}
_DEGREES = {'slightly': 'slightly', '': 'plain', 'strongly': 'strongly'}
_REMEDY = 'Measure again with `vlfusion ablate-text --instructions --out`.'
Case = Mapping[str, Any]


@dataclass(frozen=True)
class Share:
    """Share of pictures that obey.

    Attributes:
        obeyed: share in each pair, averaged over the pairs; NaN without a case.
        interval: bootstrap interval of it, over the pairs.
        cases: number of pictures that were judged.
        left_out: number of pictures that could not be judged, see `vlfusion.analysis.asked_quantities.judge`.
    """

    obeyed: float
    interval: tuple[float, float]
    cases: int
    left_out: int

    def __str__(self) -> str:
        return f'{percent(self.obeyed)} ({percent(self.interval[0])} to {percent(self.interval[1])})'


@dataclass(frozen=True, kw_only=True)
class Obedience:
    """Obedience of a model.

    Attributes:
        title: title, such as the model's name.
        dataset: name of the data set.
        images: number of pairs.
        vocabulary: name and version of the vocabulary; its held-out sentences were used.
        seed: seed of the choice of sentences.
        alpha: intervals are at `1 - alpha`.
        protocol: label of the protocol of `scores`.
        cases: a row for each picture, with the columns `COLUMNS`. `obeyed` is 1, 0, or None if it was not judged.
        scores: scores of each picture without an instruction under `none`, and those of another model under its name.
        equal: number of pairs whose picture without an instruction equals the other model's to the bit.
        inputs: inputs, such as checkpoint and digests.
    """

    title: str
    dataset: str
    images: int
    vocabulary: str
    seed: int
    alpha: float
    protocol: str
    cases: tuple[Case, ...]
    scores: dict[str, list[Row]] = field(default_factory=dict)
    equal: int = 0
    inputs: dict[str, str] = field(default_factory=dict)

    def share(self, choose: Callable[[Case], bool], obeys: Callable[[Case], bool] = lambda case: True, *,
              resamples: int = 2000) -> Share:
        """Return the share of the chosen cases that obey, and for which `obeys` holds too.

        Args:
            choose: True for the cases to count.
            obeys: a further condition for obedience.
            resamples: number of bootstrap samples; 0 for no interval.
        """
        chosen = [case for case in self.cases if choose(case)]
        pairs: dict[str, list[bool]] = {}
        for case in chosen:
            if case['obeyed'] is not None:
                pairs.setdefault(case['name'], []).append(bool(case['obeyed']) and obeys(case))
        judged = sum(map(len, pairs.values()))
        shares = np.array([np.mean(verdicts) for verdicts in pairs.values()])
        if not judged:
            return Share(math.nan, (math.nan, math.nan), 0, len(chosen))
        interval = interval_of(shares, self.alpha, resamples, [case_of(name) for name in pairs])
        return Share(shares.mean().item(), interval, judged, len(chosen) - judged)

    @cached_property
    def groups(self) -> dict[str, Share]:
        """Share of each group of instructions."""
        kinds = list(dict.fromkeys(case['kind'] for case in self.cases))
        groups = {'leading source and brightness': self.share(
            lambda case: not case['region'] and case['kind'] in ('leading source', 'brightness'))}
        groups |= {kind: self.share(lambda case, kind=kind: not case['region'] and case['kind'] == kind)
                   for kind in kinds}
        if any(case['region'] for case in self.cases):
            groups['regions'] = self.share(_in_region)
            groups['regions, and little elsewhere'] = self.share(_in_region, is_local)
        return groups

    @property
    def sentence(self) -> str:
        """A sentence on the obedience."""
        groups = self.groups
        regions = f', and {groups["regions"]} of those about a region' if 'regions' in groups else ''
        return (f'The picture obeys {groups["leading source and brightness"]} of the instructions about the leading '
                f'source and brightness{regions}; in brackets the {self._level} interval over {self.images} pairs.')

    @cached_property
    def matrix(self) -> dict[str, dict[str, tuple[float, float]]]:
        """Mean change of each quantity after each intent for the whole picture, in margins: of the picture, as asked.

        After `balance`, the two leads are absolute values.
        """
        matrix = {}
        for intent, cases in _grouped([case for case in self.cases if not case['region']], 'intent').items():
            matrix[intent] = {name: tuple(_mean(case[column] for case in cases) / quantity.margin
                                          for column in (name, f'asked {name}'))
                              for name, quantity in QUANTITIES.items()}
        return matrix

    def markdown(self) -> str:
        """The sentence, the tables, and notes."""
        parts = [f'{self.sentence}\n', self._table_of_groups(), self._table_of_intents()]
        if any(map(_in_region, self.cases)):
            parts.append(self._table_of_regions())
        parts += [self._table_of_degrees(), self._table_of_changes(), self._table_of_failures(), *self._quality()]
        return '\n'.join([*filter(None, parts), *(f'- {note}' for note in self._notes()), ''])

    def json(self) -> str:
        """Everything but the rows of single pictures, as `vlfusion.files.strict_json`."""
        plain = {name: getattr(self, name) for name in ('title', 'dataset', 'images', 'vocabulary', 'seed', 'alpha',
                                                        'protocol', 'equal', 'inputs')}
        return strict_json(dict(plain, scores=list(self.scores), sentence=self.sentence, groups={
            name: vars(share) for name, share in self.groups.items()}, matrix=self.matrix, margins={
            name: vars(quantity) for name, quantity in QUANTITIES.items()}))

    def write(self, folder: str | os.PathLike) -> None:
        """Write the files that the module's docstring lists."""
        folder, protocol = Path(folder), get_protocol(self.protocol.partition('.')[0])
        with whole_file(folder / 'cases.csv') as file:
            write_table(file, COLUMNS, self.cases)
        for index, rows in enumerate(self.scores.values()):
            write_scores(folder / f'scores/{index}.csv', rows, record(protocol, list(columns(rows)), rows))
        with whole_file(folder / 'obedience.md') as file:
            file.write(f'# Does the picture obey? {self.title}\n\n{self.markdown()}')
        with whole_file(folder / 'obedience.json') as file:
            file.write(self.json())

    @classmethod
    def read(cls, folder: str | os.PathLike) -> 'Obedience':
        """Read the files that `write` wrote.

        Raises:
            DataError: the folder contains no obedience.
        """
        folder = Path(folder)
        try:
            facts = json.loads((folder / 'obedience.json').read_text(encoding='utf-8'))
            scores = {name: read_csv(inside(folder, f'scores/{index}', '.csv'))
                      for index, name in enumerate(facts.pop('scores'))}
            derived = ('sentence', 'groups', 'matrix', 'margins')
            return cls(**{key: value for key, value in facts.items() if key not in derived}, scores=scores,
                       cases=tuple(read_table(folder / 'cases.csv', WORDS, _REMEDY)))
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise DataError(f'{folder} contains no obedience: {type(error).__name__}: {error}.', _REMEDY) from error

    @property
    def _level(self) -> str:
        return f'{100 * (1 - self.alpha):g} %'

    def _table_of_groups(self) -> str:
        rows = [[name, percent(share.obeyed), f'{percent(share.interval[0])} to {percent(share.interval[1])}',
                 str(share.cases), str(share.left_out)] for name, share in self.groups.items()]
        return markdown_table(['instructions', 'obeyed', f'{self._level} interval', 'pictures', 'left out'], rows)

    def _table_of_intents(self) -> str:
        rows = []
        for intent, cases in _grouped(self.cases, 'intent').items():
            degrees = [percent(self.share(lambda case, i=intent, d=degree: not case['region'] and (
                case['intent'], case['degree']) == (i, d), resamples=0).obeyed) for degree in _DEGREES]
            region = self.share(lambda case, i=intent: case['intent'] == i and _in_region(case), resamples=0)
            rows.append([markdown_cell(intent), cases[0]['kind'], *degrees, percent(region.obeyed)])
        return markdown_table(['intent', 'kind', *_DEGREES.values(), 'in a region'], rows, left=2)

    def _table_of_regions(self) -> str:
        rows = []
        for region, cases in _grouped(filter(_in_region, self.cases), 'region').items():
            share = self.share(lambda case, r=region: case['region'] == r)
            localities = [case['locality'] for case in cases if not math.isnan(case['locality'])]
            local = np.mean([locality > LOCAL for locality in localities]).item() if localities else math.nan
            rows.append([markdown_cell(region), str(share), f'{np.median(localities) if localities else math.nan:.3g}',
                         percent(local), str(share.left_out)])
        return markdown_table(['region', f'obeyed inside ({self._level} interval)', 'change inside / outside, median',
                               f'above {LOCAL:g}', 'left out'], rows)

    def _table_of_degrees(self) -> str:
        rows = []
        for degree, name in _DEGREES.items():
            progress = [part for case in self.cases if case['degree'] == degree and case['obeyed'] is not None
                        for part in progress_of(case)]
            share = self.share(lambda case, d=degree: case['degree'] == d and bool(case['wanted']))
            rows.append([name, str(share), percent(np.nanmedian(progress).item() if progress else math.nan)])
        return markdown_table(['degree', f'obeyed ({self._level} interval)', 'change, as a share of the asked one, '
                               'median'], rows)

    def _table_of_failures(self) -> str:
        progress: dict[str, tuple[float, Case]] = {}
        for case in self.cases:
            if case['obeyed'] == 0 and case['wanted']:
                part = min(progress_of(case))
                if case['text'] not in progress or not part >= progress[case['text']][0]:
                    progress[case['text']] = part, case
        worst = sorted(progress.items(), key=lambda item: (not math.isnan(item[1][0]), item[1][0]))[:MOST_FAILURES]
        return markdown_table(['obeyed least', 'intent', 'change, as a share of the asked one'], [
            [markdown_cell(text), markdown_cell(f'{case["intent"]} {case["degree"]}'.strip()), percent(part)]
            for text, (part, case) in worst], left=2) if worst else ''

    def _table_of_changes(self) -> str:
        asked = {case['intent']: directions_of(case) for case in self.cases}
        rows = []
        for intent, changes in self.matrix.items():
            cells = ['n/a' if math.isnan(change) else f'{change:+.1f} ({target:+.1f})'
                     for change, target in changes.values()]
            rows.append([markdown_cell(intent), *(f'**{cell}**' if name in asked[intent] else cell
                                                  for name, cell in zip(changes, cells, strict=True))])
        return markdown_table(['change in margins', *QUANTITIES], rows)

    def _quality(self) -> list[str]:
        if len(self.scores) < 2:
            return []
        other = list(self.scores)[1]
        if self.equal == self.images:
            board = board_of({self.title: self.scores['none']}, alpha=self.alpha)
            means = ', '.join(f'{metric} {comparison.means[self.title]:.4g}'
                              for metric, comparison in board.comparisons.items())
            return [f'Without an instruction all {self.images} pictures equal those of {markdown_cell(other)} to the '
                    f'bit, so listening costs no quality: {means}.\n']
        names = {'none': f'{self.title} without an instruction'}
        board = board_of({names.get(name, name): rows for name, rows in self.scores.items()}, alpha=self.alpha)
        return [f'Without an instruction {self.equal} of {self.images} pictures equal those of {markdown_cell(other)} '
                f'to the bit. {" ".join(conclude(board).sentences)}\n', board.markdown()]

    def _notes(self) -> list[str]:
        margins = ', '.join(f'{quantity.name} {100 * quantity.margin:g} %' if quantity.relative else
                            f'{quantity.name} {quantity.margin:g} {quantity.unit}'.rstrip()
                            for quantity in QUANTITIES.values())
        return [
            f'{self.images} pairs of {self.dataset}; held-out sentences of {self.vocabulary}, seed {self.seed}. '
            'Quantities are those of the output before any protocol, inside the region that is meant.',
            f'A picture obeys if every asked quantity changes the asked way by more than its margin: {margins}. '
            f'`neutral` obeys if a pixel changes by less than {STILL:g} grey level on average, and the colour stays.',
            'Left out: no asked quantity changes by its margin even in the asked picture, or a region has less than '
            f'{100 * LEAST_REGION:g} % of the picture.',
            'In the table of changes, bold marks what is asked, and the change of the asked picture is in brackets. '
            'After `balance`, leads are absolute values.']


def compare(results: Mapping[str, Obedience]) -> str:
    """Compare several results in a Markdown table, such as two seeds of a training, or two text encoders.

    Args:
        results: results by the title of their column.

    Raises:
        DataError: they measured other pairs or another vocabulary, so their numbers cannot be compared.
    """
    facts = {(result.dataset, tuple(dict.fromkeys(case['name'] for case in result.cases)), result.vocabulary)
             for result in results.values()}
    if len(facts) != 1:
        raise DataError(f'{len(results)} results of different pairs or vocabularies cannot be compared.',
                        'Measure the same pairs with one vocabulary.')
    groups = dict.fromkeys(group for result in results.values() for group in result.groups)
    rows = [[group, *(str(result.groups[group]) if group in result.groups else 'n/a'
                       for result in results.values())]
            for group in groups]
    return markdown_table(['obeyed', *map(markdown_cell, results)], rows)


def spell_directions(directions: Mapping[str, int]) -> str:
    """Write directions for the column `wanted`.

    >>> spell_directions({'LeadA': 1, 'TextureLeadA': 0})
    'LeadA+ TextureLeadA='
    """
    return ' '.join(f'{name}{SIGNS[direction]}' for name, direction in directions.items())


def directions_of(case: Case) -> dict[str, int]:
    """Read the column `wanted` of a case."""
    signs = {sign: direction for direction, sign in SIGNS.items()}
    return {word[:-1]: signs[word[-1]] for word in case['wanted'].split()}


def progress_of(case: Case) -> list[float]:
    """Return the change of each asked quantity as a share of the asked change, if that is above the margin."""
    return [case[name] / case[f'asked {name}'] for name, direction in directions_of(case).items()
            if is_changed(name, case[f'asked {name}'], direction)]


def is_local(case: Case) -> bool:
    """Tell whether the change of a case keeps to its region."""
    return case['locality'] > LOCAL


def percent(share: float) -> str:
    """Write a share in percent, or `n/a`.

    >>> percent(0.9725), percent(1.), percent(math.nan)
    ('97.2 %', '100 %', 'n/a')
    """
    return 'n/a' if math.isnan(share) else f'{100 * share:.3g} %'


def _in_region(case: Case) -> bool:
    return bool(case['region'])


def _grouped(cases: Iterable[Case], column: str) -> dict[str, list[Case]]:
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(case[column], []).append(case)
    return groups


def _mean(values: Iterable[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return float(np.mean(finite)) if finite else math.nan
