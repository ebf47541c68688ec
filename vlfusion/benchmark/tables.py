"""From the pictures and scores of a run to its tables."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from vlfusion.analysis.leaderboard import Leaderboard, board_of, higher, places_of
from vlfusion.analysis.statistics import compare
from vlfusion.benchmark.costs import costs
from vlfusion.benchmark.methods import FolderMethod, ModelMethod
from vlfusion.benchmark.plan import SetPlan
from vlfusion.benchmark.results import Cost, PairResult, SetResult
from vlfusion.benchmark.run import Run, Unit
from vlfusion.data.names import case_of
from vlfusion.data.pairs import Pair
from vlfusion.data.text import text_sources
from vlfusion.evaluation.controls import CONTROL
from vlfusion.evaluation.rows import Row, columns

#: Prefix of the names of other output policies among the ways of scoring.
OUTPUT = 'output: '


def results(run: Run, units: Sequence[Unit]) -> list[SetResult]:
    """Results of a run, by data set."""
    return [_SetTables(run, set_plan, [unit for unit in units if unit.dataset is set_plan]).result()
            for set_plan in run.plan.datasets]


class _SetTables:
    """The tables of one data set."""

    def __init__(self, run: Run, set_plan: SetPlan, units: Sequence[Unit]):
        self.run, self.set_plan, self.plan = run, set_plan, run.plan
        self.units = [unit for unit in units if (set_plan.name, unit.method) not in run.failures]
        self.truth = all(pair.path_truth for pair in run.pairs(set_plan.name))
        self.columns = self.plan.columns(self.truth)
        self.methods = [method for method in self.plan.methods_of(set_plan.name)
                        if (set_plan.name, method.name) not in run.failures]
        self.values = self._values()

    def result(self) -> SetResult:
        """All tables, pairs and costs."""
        rows = self._rows()
        controls = {CONTROL + name: self._row_list(CONTROL + name) for name in self.plan.controls
                    if (self.set_plan.name, CONTROL + name) not in self.run.failures}
        board = self._board(rows, controls)
        ways = self._robustness(board, rows)
        notes = (_first_only_here(ways), self._files_beside_outputs(), self._approximated())
        board = replace(board, elsewhere=_places_elsewhere(ways), note=' '.join(filter(None, notes)))
        subsets = {name.partition('/')[0] for name in (pair.name for pair in self.run.pairs(self.set_plan.name))
                   if '/' in name} if self.set_plan.by_subset else ()
        return SetResult(self.set_plan.name, self.set_plan.task.name, board, rows | controls, self._pairs(),
                         self._costs(), ways,
                         {subset: self._board(rows, controls, f'{subset}/') for subset in sorted(subsets)},
                         self.plan.chroma_of(self.set_plan))

    def _files_beside_outputs(self) -> str:
        """Note on files that are compared with outputs of models, where the protocol stretches outputs only."""
        files = [method.name for method in self.methods if isinstance(method, FolderMethod)]
        if self.plan.output.stretch != 'min-max' or len(files) in (0, len(self.methods)):
            return ''
        return (f'Files are scored as they are ({", ".join(files)}), but the protocol {self.plan.protocol.name} '
                'stretches the outputs of models to the full range, which raises EN, SD, SF and AG: compare them only '
                'if the files were stretched too.')

    def _board(self, rows: Mapping[str, list[Row]], controls: Mapping[str, list[Row]],
               subset: str = '') -> Leaderboard:
        """The methods compared, on one subset or on all pairs."""
        compared, beside = ({method: [row for row in of if str(row['name']).startswith(subset)]
                             for method, of in part.items()} for part in (rows, controls))
        board = (self._compared(compared) if compared else
                 Leaderboard(self.plan.protocol.label, len(self.run.pairs(self.set_plan.name)), {}, self.plan.alpha))
        references = {name: {column: float(values.mean()) for column, values in columns(of).items()}
                      for name, of in beside.items()}
        printed = {} if subset else self.plan.printed[self.set_plan.name]
        failures = {method: reason for (dataset, method), reason in self.run.failures.items()
                    if dataset == self.set_plan.name}
        return replace(board, references=references | printed, failures=failures)

    def _compared(self, rows: Mapping[str, list[Row]], resamples: int = 2000) -> Leaderboard:
        return board_of(rows, metrics=self.columns, alpha=self.plan.alpha, correction=self.plan.correction,
                        resamples=resamples)

    def _values(self) -> dict[tuple[str, str], dict[str, dict[str, float]]]:
        """Scores by method and output, by the pair's name: each the mean over the repeats."""
        by_method: dict[tuple[str, str], dict[str, list[dict[str, float]]]] = {}
        for unit in self.units:
            by_method.setdefault((unit.method, unit.output), {}).setdefault(unit.pair.name, []).append(
                self.run.scores(unit))
        return {key: {name: {column: float(np.mean([scores[column] for scores in repeats])) for column in repeats[0]}
                      for name, repeats in by_name.items()} for key, by_name in by_method.items()}

    def _row_list(self, method: str, output: str = 'protocol') -> list[Row]:
        """The rows of a method under an output policy."""
        of_output = self.values.get((method, output)) or self.values[method, 'protocol']  # a folder has one output
        return [{'name': name, 'protocol': self.plan.protocol.label,
                 **{column: scores[column] for column in self.columns}}
                for name, scores in sorted(of_output.items())]

    def _rows(self, output: str = 'protocol') -> dict[str, list[Row]]:
        return {method.name: self._row_list(method.name, output) for method in self.methods}

    def _robustness(self, board: Leaderboard, rows: Mapping[str, list[Row]]) -> dict[str, dict[str, float]]:
        """The mean ranks under every way of scoring that gives other values than the board's own."""
        if not self.plan.robustness or not rows:
            return {}
        ways = {f'{self.plan.protocol.label} ({self.plan.output})': board.mean_ranks()}
        for name in dict.fromkeys(unit.output for unit in self.units):
            if not _equal(other := self._rows(name), rows):
                ways[f'{OUTPUT}{name}'] = self._compared(other, resamples=0).mean_ranks()
        # Under the policy `none`, outputs that leave [0, 1] have no picture; all others equal the clipped ones.
        beyond = {unit.method for unit in self.units
                  if unit.record and not 0 <= unit.record['low'] <= unit.record['high'] <= 1}
        inside = {method: of for method, of in self._rows('clip').items() if method not in beyond}
        if beyond and inside:
            ranks = self._compared(inside, resamples=0).mean_ranks()
            ways[f'{OUTPUT}none'] = {method: ranks.get(method, math.nan) for method in rows}
        for column, others in self.plan.variants(self.truth).items():
            for other in others:
                name = other if ':' in other else f'{other} (default)'
                ways[f'{column} as {name}'] = self._mean_ranks_with(board, column, other)
        return ways

    def _mean_ranks_with(self, board: Leaderboard, column: str, other: str) -> dict[str, float]:
        """The mean ranks if one column used another variant of its metric, and the other columns stayed the same."""
        scores = {method.name: np.array([by_column[other] for _, by_column in
                                         sorted(self.values[method.name, 'protocol'].items())])
                  for method in self.methods}
        finite = {method: values for method, values in scores.items() if np.isfinite(values).all()}
        if not finite:
            return dict.fromkeys(scores, math.nan)
        cases = [case_of(name) for name in sorted(self.values[self.methods[0].name, 'protocol'])]
        comparison = compare(finite, higher=higher(other, ''), alpha=self.plan.alpha, resamples=0,
                             correction=self.plan.correction, cases=cases)
        return replace(board, comparisons={**board.comparisons, column: comparison}).mean_ranks()

    def _approximated(self) -> str:
        """Note on methods that fused pairs in blended windows; empty if there are none."""
        blended: dict[str, set[str]] = {}
        for unit in self.units:
            if unit.record and unit.record.get('tiles') == 'blend':
                blended.setdefault(unit.method, set()).add(unit.pair.name)
        total = len(self.run.pairs(self.set_plan.name))
        return ' '.join(f'{method} fused {len(names)} of {total} pairs in blended windows, which is an approximation.'
                        for method, names in blended.items())

    def _costs(self) -> list[Cost]:
        method_costs = []
        for method in self.methods:
            records = [unit.record for unit in self.units
                       if unit.method == method.name and unit.record and unit.output == 'protocol']
            method_costs += costs(method.name, records)
        return method_costs

    def _pairs(self) -> list[PairResult]:
        fused: dict[str, dict[str, Path]] = {}
        for unit in self.units:
            if unit.output == 'protocol' and unit.colour:
                of_pair = fused.setdefault(unit.pair.name, {})
                of_pair.setdefault(unit.method, unit.colour)  # the first of several repeats
        return [PairResult(pair.name, pair.path_a, pair.path_b, fused.get(pair.name, {}), self._texts(pair),
                           (pair.reading_a, pair.reading_b), (pair.modality_a, pair.modality_b))
                for pair in self.run.pairs(self.set_plan.name)]

    def _texts(self, pair: Pair) -> dict[str, str]:
        """Texts about a pair: the files that the config names, or else the paragraphs that a method read."""
        files = {heading: self.set_plan.text_file(pattern, pair) for heading, pattern in self.set_plan.texts.items()}
        texts = {heading: path.read_text(encoding='utf-8').strip() for heading, path in files.items()
                 if path.is_file()}
        for method in self.methods if not texts else ():
            experiment = self.set_plan.experiment_of(method) if isinstance(method, ModelMethod) else {}
            if experiment.get('text_source') and experiment.get('language'):
                sources = text_sources(experiment['text_source'], experiment['language'],
                                       self.set_plan.part.get('data_root', '.'))
                return {heading: text for source in sources.values() for heading, text in source.words(pair).items()}
        return texts


def _places_elsewhere(ways: Mapping[str, Mapping[str, float]]) -> dict[str, list[int]]:
    """The places of each method under every way of scoring; empty if there is a single way."""
    places = [places_of(ranks) for ranks in ways.values()] if len(ways) > 1 else []
    return {method: [of_way[method] for of_way in places if of_way.get(method)] for method in (places or [{}])[0]}


def _first_only_here(ways: Mapping[str, Mapping[str, float]]) -> str:
    """Note on a method that stands first under the protocol's output policy only; empty if there is none."""
    own, *_ = ways or ('',)
    others = {way: places_of(ranks) for way, ranks in ways.items() if way.startswith(OUTPUT)}
    sentences = []
    for method, place in places_of(ways.get(own, {})).items():
        elsewhere = {way: places[method] for way, places in others.items() if places.get(method)}
        if place == 1 and elsewhere and 1 not in elsewhere.values():
            listed = ', '.join(f'place {place} under {way}' for way, place in elsewhere.items())
            sentences.append(f'{method} stands first under the output policy of {own} alone: it takes {listed}.')
    return ' '.join(sentences)


def _equal(first: Mapping[str, list[Row]], other: Mapping[str, list[Row]]) -> bool:
    """Tell whether two tables are equal; NaN equals NaN."""
    return all(np.array_equal(values, columns(other[method])[name], equal_nan=True)
               for method, rows in first.items() for name, values in columns(rows).items())
