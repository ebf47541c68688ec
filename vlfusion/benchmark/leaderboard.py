"""A table of methods and metrics from their per-image scores, in which a tie is a tie."""

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vlfusion.benchmark.statistics import Comparison, compare, too_few
from vlfusion.cells import markdown_cell
from vlfusion.errors import ConfigError, DataError, UnknownNameError, did_you_mean, listing
from vlfusion.evaluation.protocol import code_of
from vlfusion.evaluation.scores import Row, columns, metric_of, read_csv

#: What stands behind a mean: nothing is better, and others are as good.
TIE = '='
#: What stands for a mean over values of which not every one is finite.
UNDEFINED = 'n/a'


@dataclass(frozen=True)
class Leaderboard:
    """Methods under several metrics, each compared by `vlfusion.benchmark.statistics.compare`.

    Attributes:
        protocol: whose variants of the metrics are meant, such as `film.1`.
        images: how many each method was scored on.
        comparisons: by metric. A method of which a score is not finite is not among those of that metric.
        alpha: differences of an adjusted p below it count.
        references: rows that stand below the methods and take no part in the comparison, such as controls and what a
            paper prints: means by metric, by the row's name.
        failures: why a method has no scores, by its name.
        names: of the methods, where a comparison may lack some.
    """

    protocol: str
    images: int
    comparisons: dict[str, Comparison]
    alpha: float
    references: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    names: Sequence[str] = ()

    @property
    def methods(self) -> list[str]:
        """By their mean rank over the metrics, then by name; last those that some metric has no value for."""
        ranks = self.mean_ranks()
        return sorted(ranks, key=lambda method: (math.isnan(ranks[method]), ranks[method], method))

    @property
    def warning(self) -> str:
        """What to say where no difference could be significant, whatever the scores; else empty."""
        comparisons = math.comb(min((len(one.means) for one in self.comparisons.values() if len(one.means) > 1),
                                    default=0), 2)
        if not too_few(self.images, comparisons, self.alpha):
            return ''
        return (f'{self.images} images cannot show a difference in {comparisons} comparisons, however large it is: '
                'score more images, or compare fewer methods.')

    def mean_ranks(self) -> dict[str, float]:
        """The mean over the metrics of each method's rank; NaN where it has none under some metric."""
        methods = dict.fromkeys([*self.names, *(method for one in self.comparisons.values() for method in one.ranks)])
        return {method: float(np.mean([one.ranks.get(method, math.nan) for one in self.comparisons.values()]))
                for method in methods}

    def markdown(self) -> str:
        """Means with ranks in brackets. Bold is what is significantly better than every other; `=` marks what nothing
        is better than, but which is not better than all. Below stand what failed, and the references in italics."""
        def line(cells: Sequence[str]) -> str:
            return '| ' + ' | '.join(cells) + ' |'

        head, methods, references = self._cells('**{}**', f'{{}} {TIE}', markdown_cell, ['↓', '↑'])
        lines = [head, ['---', *['---:'] * (len(head) - 1)], *methods]
        lines += [[markdown_cell(method), 'failed', *[''] * (len(head) - 2)] for method in self.failures]
        lines += [[f'*{name}*', *cells] for name, *cells in references]
        reasons = [f'\n{markdown_cell(method)} failed: {markdown_cell(why)}' for method, why in self.failures.items()]
        return '\n'.join([*map(line, lines), *reasons]) + '\n'

    def latex(self) -> str:
        """The same as a table of booktabs."""
        def line(cells: Sequence[str]) -> str:
            return ' & '.join(cells) + r' \\'

        head, methods, references = self._cells(r'\textbf{{{}}}', '{}$^{{=}}$', _in_latex,
                                                [r'$\downarrow$', r'$\uparrow$'])
        failed = [f'{_in_latex(method)} & \\multicolumn{{{len(head) - 1}}}{{l}}{{failed}} \\\\'
                  for method in self.failures]
        below = [r'\midrule', *map(line, references)] if references else []
        return '\n'.join([f'\\begin{{tabular}}{{l{"r" * (len(head) - 1)}}}', r'\toprule', line(head), r'\midrule',
                          *map(line, methods), *failed, *below, r'\bottomrule', r'\end{tabular}', ''])

    def json(self) -> str:
        """Everything: means, intervals, ranks, p of the whole and of every two methods."""
        metrics = {metric: dict(means=one.means, intervals=one.intervals, ranks=one.ranks, p=one.p,
                                pairs=[dict(methods=pair, p=level) for pair, level in one.pairs.items()])
                   for metric, one in self.comparisons.items()}
        ranks = {method: None if math.isnan(rank) else rank for method, rank in self.mean_ranks().items()}
        references = {name: {metric: value if math.isfinite(value) else None for metric, value in row.items()}
                      for name, row in self.references.items()}
        return json.dumps(dict(protocol=self.protocol, images=self.images, alpha=self.alpha, warning=self.warning,
                               mean_ranks=ranks, metrics=metrics, references=references,
                               failures=dict(self.failures)), indent=1, allow_nan=False)

    def write(self, path: str | os.PathLike) -> None:
        """Write it as the ending of the path says: `.md`, `.tex` or `.json`.

        Raises:
            ConfigError: another ending.
        """
        forms = {'.md': self.markdown, '.tex': self.latex, '.json': self.json}
        if (ending := Path(path).suffix) not in forms:
            raise ConfigError(f'A leaderboard cannot be written as {str(path)!r}.', did_you_mean(ending, forms))
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(forms[ending](), encoding='utf-8')

    def _cells(self, bold: str, tie: str, plain: Callable[[str], str],
               arrows: Sequence[str]) -> tuple[list[str], list[list[str]], list[list[str]]]:
        """The head, the rows of the methods and those of the references, as strings."""
        code = code_of(self.protocol)
        head = ['method', *(f'{plain(metric)} {arrows[higher(metric, code)]}' for metric in self.comparisons),
                'mean rank']
        ranks = self.mean_ranks()
        methods = []
        for method in self.methods:
            cells = []
            for one in self.comparisons.values():
                if method not in one.means:
                    cells.append(UNDEFINED)
                    continue
                form = bold if method == one.winner else tie if method in one.best and len(one.means) > 1 else '{}'
                cells.append(form.format(f'{one.means[method]:.4g} ({one.ranks[method]})'))
            methods.append([plain(method), *cells, UNDEFINED if math.isnan(ranks[method]) else f'{ranks[method]:.2f}'])
        references = [[plain(name), *(_shown(row.get(metric)) for metric in self.comparisons), '']
                      for name, row in self.references.items()]
        return head, methods, references


def leaderboard(scores: Mapping[str, str | os.PathLike], metrics: Sequence[str] | None = None,
                alpha: float = 0.05, correction: str = 'holm') -> Leaderboard:
    """Compare methods by the files that `vlfusion evaluate` and `test` wrote.

    Args:
        scores: the per-image CSV of each method, by what the method is to be called.
        metrics: which of their columns; None for all that every file has, but for those that nothing was scored by.
        alpha: differences of an adjusted p below it count.
        correction: for the number of comparisons, see `vlfusion.benchmark.statistics.compare`.

    A method of which a score is not finite takes no part in the comparison under that metric, and has no mean rank.

    Raises:
        DataError: the files are of different images or protocols; all are named.
        UnknownNameError: a file lacks a metric that was asked for.
    """
    return board_of({method: read_csv(path) for method, path in scores.items()}, metrics, alpha, correction)


def board_of(rows: Mapping[str, Sequence[Row]], metrics: Sequence[str] | None = None, alpha: float = 0.05,
             correction: str = 'holm', resamples: int = 2000) -> Leaderboard:
    """Compare methods by their per-image scores; arguments and errors as for `leaderboard` and `compare`."""
    _check_alike(rows)
    found = {method: columns(sorted(of_method, key=lambda row: row['name'])) for method, of_method in rows.items()}
    shared = [name for name in next(iter(found.values())) if all(name in of for of in found.values())]
    for name in metrics or ():
        if name not in shared:
            raise UnknownNameError(f'Not every method has the metric {name!r}.', did_you_mean(name, shared))
    if metrics is None:
        metrics = [name for name in shared if any(row[name] is not None for of in rows.values() for row in of)]
    protocol = str(next(iter(rows.values()))[0].get('protocol', ''))
    code = code_of(protocol)
    comparisons, images = {}, len(next(iter(rows.values())))
    for name in metrics or shared:
        finite = {method: of[name] for method, of in found.items() if np.isfinite(of[name]).all()}
        comparisons[name] = (compare(finite, higher(name, code), alpha, resamples, correction) if finite
                             else Comparison({}, {}, {}, 1., {}, images, alpha))
    return Leaderboard(protocol, images, comparisons, alpha, names=tuple(rows))


def _check_alike(rows: Mapping[str, Sequence[Row]]) -> None:
    problems = [f'{method}: no images' for method, of in rows.items() if not of]
    protocols = {str(row.get('protocol', '')) for of in rows.values() for row in of}
    if len(protocols) > 1:
        problems.append(f'several protocols: {", ".join(sorted(protocols))}')
    names = {method: [row['name'] for row in of] for method, of in rows.items()}
    every = set().union(*names.values())
    for method, own in names.items():
        if lacking := sorted(every - set(own)):
            problems.append(f'{method} lacks {len(lacking)} of {len(every)} images: {", ".join(lacking[:5])}')
        if len(set(own)) < len(own):
            problems.append(f'{method} has an image twice')
    if problems:
        raise DataError(f'The methods were not scored alike:\n{listing(problems, len(problems))}',
                        'Score every method on the same images under one protocol.')


def higher(metric: str, code: str) -> bool:
    """Whether a higher value of a metric is better, under the variants that a protocol's code means."""
    return metric_of(metric, code).info.direction == 'higher'


def _shown(value: float | None) -> str:
    return '' if value is None else f'{value:.4g}' if math.isfinite(value) else UNDEFINED


def _in_latex(text: str) -> str:
    """As LaTeX prints it."""
    signs = {'\\': r'\textbackslash{}', **{sign: f'\\{sign}' for sign in '&%$#_{}'}, '~': r'\textasciitilde{}',
             '^': r'\textasciicircum{}'}
    return ''.join(signs.get(sign, sign) for sign in text)
