"""A table of methods and metrics from their per-image scores, in which a tie is a tie."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vlfusion.benchmark.statistics import Comparison, compare
from vlfusion.errors import ConfigError, DataError, UnknownNameError, did_you_mean, listing
from vlfusion.evaluation.protocol import code_of
from vlfusion.evaluation.scores import Row, columns, metric_of, read_csv

#: What stands behind a mean: nothing is better, and others are as good.
TIE = '='


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
    """

    protocol: str
    images: int
    comparisons: dict[str, Comparison]
    alpha: float
    references: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)

    @property
    def methods(self) -> list[str]:
        """By their mean rank over the metrics, then by name."""
        ranks = self.mean_ranks()
        return sorted(ranks, key=lambda method: (ranks[method], method))

    @property
    def warning(self) -> str:
        """What to say where no difference could be significant, whatever the scores; else empty.

        The smallest p of Wilcoxon's test on `n` images is `2 / 2^n`; Holm multiplies it by the number of comparisons.
        """
        comparisons = math.comb(len(self.mean_ranks()), 2)
        if 2. ** (1 - self.images) * comparisons < self.alpha:
            return ''
        return (f'{self.images} images cannot show a difference in {comparisons} comparisons, however large it is: '
                'score more images, or compare fewer methods.')

    def mean_ranks(self) -> dict[str, float]:
        """The mean over the metrics of each method's rank."""
        first = next(iter(self.comparisons.values()))
        return {method: float(np.mean([one.ranks[method] for one in self.comparisons.values()]))
                for method in first.ranks}

    def markdown(self) -> str:
        """Means with ranks in brackets. Bold is what is significantly better than every other; `=` marks those that
        nothing is better than, where they are several."""
        return self._table(lambda cells: '| ' + ' | '.join(cells) + ' |',
                           ['---', *['---:'] * (len(self.comparisons) + 1)], '**{}**', f'{{}} {TIE}', str,
                           ['↓', '↑'])

    def latex(self) -> str:
        """The same as a table of booktabs."""
        heads = '\\begin{tabular}{l' + 'r' * (len(self.comparisons) + 1) + '}\n\\toprule\n'
        body = self._table(lambda cells: ' & '.join(cells) + r' \\', None, r'\textbf{{{}}}', '{}$^{{=}}$', _escaped,
                           [r'$\downarrow$', r'$\uparrow$'])
        first, _, rest = body.partition('\n')
        return f'{heads}{first}\n\\midrule\n{rest}\\bottomrule\n\\end{{tabular}}\n'

    def json(self) -> str:
        """Everything: means, intervals, ranks, p of the whole and of every two methods."""
        metrics = {metric: dict(means=one.means, intervals=one.intervals, ranks=one.ranks, p=one.p,
                                pairs=[dict(methods=pair, p=level) for pair, level in one.pairs.items()])
                   for metric, one in self.comparisons.items()}
        return json.dumps(dict(protocol=self.protocol, images=self.images, alpha=self.alpha, warning=self.warning,
                               mean_ranks=self.mean_ranks(), metrics=metrics), indent=1)

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

    def _table(self, line, rule: Sequence[str] | None, bold: str, tie: str, plain, arrows: Sequence[str]) -> str:
        code = code_of(self.protocol)
        heads = [f'{plain(metric)} {arrows[_higher(metric, code)]}' for metric in self.comparisons]
        ranks = self.mean_ranks()
        lines = [line(['method', *heads, 'mean rank']), *([line(rule)] if rule else [])]
        for method in self.methods:
            cells = []
            for one in self.comparisons.values():
                shown = f'{one.means[method]:.4g} ({one.ranks[method]})'
                best = one.best
                cells.append(shown if method not in best else (bold if len(best) == 1 else tie).format(shown))
            lines.append(line([plain(method), *cells, f'{ranks[method]:.2f}']))
        return '\n'.join(lines) + '\n'


def leaderboard(scores: Mapping[str, str | os.PathLike], metrics: Sequence[str] | None = None,
                alpha: float = 0.05) -> Leaderboard:
    """Compare methods by the files that `vlfusion evaluate` and `test` wrote.

    Args:
        scores: the per-image CSV of each method, by what the method is to be called.
        metrics: which of their columns; None for all that every file has.
        alpha: differences of an adjusted p below it count.

    Raises:
        DataError: the files are of different images or protocols, or a score is not finite; all are named.
        UnknownNameError: a file lacks a metric that was asked for.
    """
    rows = {method: read_csv(path) for method, path in scores.items()}
    _check_alike(rows)
    found = {method: columns(sorted(of_method, key=lambda row: row['name'])) for method, of_method in rows.items()}
    shared = [name for name in next(iter(found.values())) if all(name in of for of in found.values())]
    for name in metrics or ():
        if name not in shared:
            raise UnknownNameError(f'Not every file has the metric {name!r}.', did_you_mean(name, shared))
    protocol = str(next(iter(rows.values()))[0].get('protocol', ''))
    code = code_of(protocol)
    comparisons = {name: compare({method: of[name] for method, of in found.items()}, _higher(name, code), alpha)
                   for name in metrics or shared}
    return Leaderboard(protocol, len(next(iter(rows.values()))), comparisons, alpha)


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


def _higher(metric: str, code: str) -> bool:
    return metric_of(metric, code).info.direction == 'higher'


def _escaped(text: str) -> str:
    """As LaTeX prints it."""
    signs = {'\\': r'\textbackslash{}', **{sign: f'\\{sign}' for sign in '&%$#_{}'}, '~': r'\textasciitilde{}',
             '^': r'\textasciicircum{}'}
    return ''.join(signs.get(sign, sign) for sign in text)
