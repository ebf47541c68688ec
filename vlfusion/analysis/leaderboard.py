"""A table of methods and metrics from per-image scores, with significant differences and ties."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Column, Table

from vlfusion.analysis.numbers import UNDEFINED, column_format, numeral, span, without_zeros
from vlfusion.analysis.statistics import Comparison, compare, too_few
from vlfusion.data.names import case_of
from vlfusion.errors import ConfigError, DataError, UnknownNameError, did_you_mean, listing, printable
from vlfusion.evaluation.rows import Row, columns, read_csv
from vlfusion.files import strict_json, write_whole
from vlfusion.guards.cells import markdown_cell, terminal_cell
from vlfusion.imaging.protocol import code_of
from vlfusion.metrics.columns import full_name, info_of

#: Mark of a tie, behind a mean: no method is better, but it does not beat all.
TIE = '='
#: Meaning of the marks in a table.
LEGEND = ('Means over the images; in brackets the rank, 1 plus the number of methods that are significantly better. '
          f'Bold beats every other method; {TIE} marks a tie: no method is better, but it does not beat all.')
#: Start of the explanation of places.
DOUBT = 'Places follow the mean rank. Beside it are the places that a method may take: '


@dataclass(frozen=True)
class Leaderboard:
    """Methods under several metrics, each compared by `vlfusion.analysis.statistics.compare`.

    Attributes:
        protocol: label of the protocol, such as `film.1`, which determines the variants of metrics.
        images: number of images on which each method was scored.
        comparisons: comparison under each metric. It leaves out methods with scores that are not finite.
        alpha: level below which an adjusted p counts as a difference.
        references: rows below the methods that take no part in the comparison, such as controls and numbers of a paper:
            means by metric, by the row's name.
        failures: reasons why methods have no scores, by method.
        names: names of all methods, as comparisons may lack some.
        elsewhere: places of each method under other ways of scoring, if known.
        note: notes for below the table, such as on a first place that depends on the way of scoring, or on methods that
            fused pairs in blended windows.
        legend: meaning of the marks.
    """

    protocol: str
    images: int
    comparisons: dict[str, Comparison]
    alpha: float
    references: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    names: Sequence[str] = ()
    elsewhere: Mapping[str, Sequence[int]] = field(default_factory=dict)
    note: str = ''
    legend: str = LEGEND

    @property
    def methods(self) -> list[str]:
        """Methods by mean rank over the metrics, then by name; methods without a value under some metric come last."""
        ranks = self.mean_ranks()
        return sorted(ranks, key=lambda method: (math.isnan(ranks[method]), ranks[method], method))

    @property
    def warning(self) -> str:
        """Warning if there are too few images for any significant difference; otherwise empty."""
        comparisons = math.comb(min((len(one.means) for one in self.comparisons.values() if len(one.means) > 1),
                                    default=0), 2)
        if not too_few(self.cases, comparisons, self.alpha):
            return ''
        images = f'{self.cases} {"image" if self.cases == self.images else "case"}{"s" * (self.cases != 1)}'
        return (f'{images} cannot show a difference in {comparisons} comparison{"s" * (comparisons != 1)}, however '
                'large it is: score more images, or compare fewer methods.')

    @property
    def cases(self) -> int:
        """Number of cases that the images belong to: `images`, unless they are slices of volumes."""
        return min((one.cases for one in self.comparisons.values() if one.cases), default=self.images)

    def mean_ranks(self) -> dict[str, float]:
        """The mean of each method's ranks over the metrics; NaN if it has no rank under some metric."""
        methods = dict.fromkeys([*self.names, *(method for one in self.comparisons.values() for method in one.ranks)])
        return {method: float(np.mean([one.ranks.get(method, math.nan) for one in self.comparisons.values()]))
                for method in methods}

    def places(self) -> dict[str, tuple[int, int, int]]:
        """The place of each method by its mean rank, and the first and the last place that it may take.

        Differences that are not significant may favour a method or others, and other ways of scoring may give another
        order. A method without a mean rank has no place.
        """
        ranks = {method: rank for method, rank in self.mean_ranks().items() if not math.isnan(rank)}
        spans = {method: np.mean([one.ranges[method] for one in self.comparisons.values()], 0) for method in ranks}
        found = {}
        for method, place in places_of(ranks).items():
            first = 1 + sum(other[1] < spans[method][0] for other in spans.values())
            last = len(spans) - sum(other[0] > spans[method][1] for other in spans.values())
            taken = [first, last, *(place for place in self.elsewhere.get(method, ()) if place)]
            found[method] = place, int(min(taken)), int(max(taken))
        return found

    @property
    def doubt(self) -> str:
        """Explanation of the places beside a mean rank."""
        return f'{DOUBT}{self.reasons_of_doubt}.'

    @property
    def reasons_of_doubt(self) -> str:
        """Reasons why a method may take other places than its own."""
        others = ', and other ways of scoring give another order' if self.elsewhere else ''
        return f'differences that are not significant may fall either way{others}'

    def tables(self, console: Console) -> list[Table]:
        """The board for a terminal: places with their ranges, then aligned means.

        A board that is wider than the console becomes several tables, each with some of the metrics.
        """
        count, unlimited = max(len(self.comparisons), 1), console.options.update(max_width=10 ** 6)
        for parts in range(1, count + 1):
            step = math.ceil(count / parts)
            tables = [self._table(slice(start, start + step)) for start in range(0, count, step)]
            if all(console.measure(table, options=unlimited).maximum <= console.width for table in tables):
                break
        return tables

    def _table(self, metrics: slice) -> Table:
        """The table for a slice of the metrics."""
        head, methods, references = self._cells(f'[bold]{{}}[/bold]{" " * len(TIE)}', f'{{}}{TIE}',
                                                f'{{}}{" " * len(TIE)}', terminal_cell, ['↓', '↑'], aligned=True)
        first = metrics.start == 0
        table = Table('place', Column(head[0], overflow='fold'), box=box.SIMPLE_HEAD, pad_edge=False)
        for heading in ['mean rank'] * first + head[1:-1][metrics]:
            table.add_column(heading, justify='right')
        places = self.places()
        for method, (name, *cells, rank) in zip(self.methods, methods, strict=True):
            place, best, worst = places.get(method, ('', 0, 0))
            doubt = f' [dim]{span(best, worst)}[/dim]' if best < worst else ''
            table.add_row(f'{place}{doubt}', name, *[rank] * first, *cells[metrics])
        for method in self.failures:
            table.add_row('', terminal_cell(method), '[red]failed[/red]')
        if self.references:
            table.add_section()
        for name, *cells, _ in references:
            table.add_row('', name, *[''] * first, *(cell + ' ' * len(f' (1){TIE}') for cell in cells[metrics]),
                          style='italic')
        return table

    def markdown(self) -> str:
        """The board in Markdown: means with ranks in brackets, then methods that failed, then references in italics.

        Bold marks a method that is significantly better than every other, `=` a tie. If other ways of scoring are
        known, the places that a method may take are beside its mean rank.
        """
        def line(cells: Sequence[str]) -> str:
            return '| ' + ' | '.join(cells) + ' |'

        head, methods, references = self._cells('**{}**', f'{{}} {TIE}', '{}', markdown_cell, ['↓', '↑'])
        if self.elsewhere:
            head[-1] += ' (places)'
            places = self.places()
            for method, cells in zip(self.methods, methods, strict=True):
                cells[-1] += f' ({span(*places[method][1:])})' if method in places else ''
        lines = [head, ['---', *['---:'] * (len(head) - 1)], *methods]
        lines += [[markdown_cell(method), 'failed', *[''] * (len(head) - 2)] for method in self.failures]
        lines += [[f'*{name}*', *cells] for name, *cells in references]
        reasons = [f'\n{markdown_cell(method)} failed: {markdown_cell(why)}' for method, why in self.failures.items()]
        reasons += [f'\n{self.doubt}'] * bool(self.elsewhere) + [f'\n{markdown_cell(self.note)}'] * bool(self.note)
        return '\n'.join([*map(line, lines), *reasons]) + '\n'

    def latex(self) -> str:
        """The board in LaTeX, as a table for the package booktabs."""
        def line(cells: Sequence[str]) -> str:
            return ' & '.join(cells) + r' \\'

        head, methods, references = self._cells(r'\textbf{{{}}}', r'{}\rlap{{$^{{=}}$}}', '{}', _in_latex,
                                                [r'$\downarrow$', r'$\uparrow$'], aligned=True, pad=r'\phantom{{{}}}')
        failed = [f'{_in_latex(method)} & \\multicolumn{{{len(head) - 1}}}{{l}}{{failed}} \\\\'
                  for method in self.failures]
        below = [r'\midrule', *map(line, references)] if references else []
        return '\n'.join([f'\\begin{{tabular}}{{l{"r" * (len(head) - 1)}}}', r'\toprule', line(head), r'\midrule',
                          *map(line, methods), *failed, *below, r'\bottomrule', r'\end{tabular}', ''])

    def facts(self) -> dict[str, Any]:
        """The board as plain data: means, intervals, ranks, and p over all methods and of every two."""
        metrics = {metric: dict(means=one.means, intervals=one.intervals, ranks=one.ranks, p=one.p,
                                pairs=[dict(methods=pair, p=level) for pair, level in one.pairs.items()])
                   for metric, one in self.comparisons.items()}
        return dict(protocol=self.protocol, images=self.images, cases=self.cases, alpha=self.alpha,
                    warning=self.warning, mean_ranks=self.mean_ranks(), places=self.places(), note=self.note,
                    metrics=metrics, references=self.references, failures=self.failures)

    def json(self) -> str:
        """The board's `facts` in JSON."""
        return strict_json(self.facts())

    def write(self, path: str | os.PathLike) -> None:
        """Write the board in the format of the path's ending: `.md`, `.tex` or `.json`.

        Raises:
            ConfigError: the path has another ending.
        """
        forms = {'.md': self.markdown, '.tex': self.latex, '.json': self.json}
        if (ending := Path(path).suffix) not in forms:
            raise ConfigError(f'A leaderboard cannot be written as {str(path)!r}.', did_you_mean(ending, forms))
        write_whole(path, forms[ending]().encode())

    def formats(self) -> dict[str, str]:
        """The format of each metric's column, which aligns decimal points."""
        return {metric: column_format([*one.means.values(), *(row.get(metric, math.nan)
                                                              for row in self.references.values())])
                for metric, one in self.comparisons.items()}

    def _cells(self, bold: str, tie: str, other: str, plain: Callable[[str], str], arrows: Sequence[str],
               aligned: bool = False, pad: str = '') -> tuple[list[str], list[list[str]], list[list[str]]]:
        """The headings, the rows of the methods and the rows of the references, as strings.

        Args:
            bold, tie, other: formats of a mean.
            plain: function that escapes a name.
            arrows: arrows downwards and upwards.
            aligned: whether all numbers of a column have the same number of decimals; otherwise each has four digits.
            pad: format that replaces trailing zeros of a reference, because its source may print fewer digits.
        """
        code = code_of(self.protocol)
        head = ['method', *(f'{plain(metric)} {arrows[higher(metric, code)]}' for metric in self.comparisons),
                'mean rank']
        forms = self.formats() if aligned else dict.fromkeys(self.comparisons, '.4g')
        ranks = self.mean_ranks()
        methods = []
        for method in self.methods:
            cells = []
            for metric, one in self.comparisons.items():
                if method not in one.means:
                    cells.append(other.format(UNDEFINED))
                    continue
                form = bold if method == one.winner else tie if method in one.best and len(one.means) > 1 else other
                cells.append(form.format(f'{one.means[method]:{forms[metric]}} ({one.ranks[method]})'))
            methods.append([plain(method), *cells, numeral(ranks[method], '.2f')])
        references = [[plain(name), *(_reference(row.get(metric), form, pad) for metric, form in forms.items()), '']
                      for name, row in self.references.items()]
        return head, methods, references


def leaderboard(scores: Mapping[str, str | os.PathLike], metrics: Sequence[str] | None = None, *,
                alpha: float = 0.05, correction: str = 'holm') -> Leaderboard:
    """Compare methods by the files that `vlfusion evaluate` and `test` wrote.

        board = vlfusion.leaderboard({'FILM': 'scores/film.csv', 'CDDFuse': 'scores/cddfuse.csv'})
        print(board.markdown())

    Args:
        scores: per-image CSV file of each method, by the method's name in the table.
        metrics: names of columns, with or without a variant; by default all that every file has, except empty ones and
            those that have no better side, such as `Level`.
        alpha: level below which an adjusted p counts as a difference.
        correction: correction for the number of comparisons, see `vlfusion.analysis.statistics.compare`.

    A method with a score that is not finite takes no part in the comparison under that metric, and has no mean rank.

    Raises:
        DataError: the files have different images or protocols; all differences are named. Or they have no metric that
            ranks.
        ConfigError: a metric that was asked for has no better side.
        UnknownNameError: a file lacks a metric that was asked for.
    """
    return board_of({method: read_csv(path) for method, path in scores.items()}, metrics=metrics, alpha=alpha,
                    correction=correction)


def board_of(rows: Mapping[str, Sequence[Row]], *, metrics: Sequence[str] | None = None, alpha: float = 0.05,
             correction: str = 'holm', resamples: int = 2000) -> Leaderboard:
    """Compare methods by their per-image scores; arguments and errors as for `leaderboard` and `compare`."""
    if not rows:
        raise DataError('There is no method to compare.', 'Give the scores of at least one.')
    _check_alike(rows)
    found = {method: columns(sorted(of_method, key=lambda row: row['name'])) for method, of_method in rows.items()}
    shared = [name for name in next(iter(found.values())) if all(name in of for of in found.values())]
    protocol = str(next(iter(rows.values()))[0].get('protocol', ''))
    code = code_of(protocol)
    if metrics is None:
        shared = [name for name in shared if info_of(name, code).direction != 'neither']
        metrics = [name for name in shared if any(row[name] is not None for of in rows.values() for row in of)]
    else:
        metrics = [_column(name, code, shared) for name in metrics]
    if not metrics and not shared:
        raise DataError('No metric of these files can rank methods.', 'Score with metrics that have a better side.')
    comparisons, images = {}, len(next(iter(rows.values())))
    cases = [case_of(name) for name in sorted(row['name'] for row in next(iter(rows.values())))]
    for name in metrics or shared:
        finite = {method: of[name] for method, of in found.items() if np.isfinite(of[name]).all()}
        comparisons[name] = (
            compare(finite, higher=higher(name, code), alpha=alpha, resamples=resamples, correction=correction,
                    cases=cases)
            if finite else Comparison(means={}, intervals={}, ranks={}, p=1., pairs={}, images=images, alpha=alpha))
    return Leaderboard(protocol, images, comparisons, alpha, names=tuple(rows))


def print_board(board: Leaderboard, console: Console, title: str = '') -> None:
    """Print a board: on a terminal as a table with a legend, elsewhere as Markdown."""
    if not console.is_terminal:
        print(board.markdown(), end='')
        return
    if title:
        console.print(printable(title), markup=False, highlight=False, style='bold')
    for table in board.tables(console):
        console.print(table)
    lines = [board.legend, board.doubt, board.note, *(f'{name} failed: {why}' for name, why in board.failures.items())]
    for line in filter(None, lines):
        style = 'dim' if line in (board.legend, board.doubt) else ''
        console.print(printable(line), markup=False, highlight=False, style=style)


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
        if any('control' in row for row in rows[method]):
            problems.append(f'{method} holds scores of control images')
        elif len(set(own)) < len(own):
            problems.append(f'{method} has an image twice')
    if problems:
        raise DataError(f'The methods were not scored alike:\n{listing(problems, len(problems))}',
                        'Score every method on the same images under one protocol.')


def _column(name: str, code: str, columns: Sequence[str]) -> str:
    """The column of a metric that may be named without its variant."""
    if name in columns:
        return name
    with suppress(UnknownNameError):
        if (full := full_name(name, code)) in columns:
            return full
    raise UnknownNameError(f'Not every method has the metric {name!r}.', did_you_mean(name, columns))


def higher(metric: str, code: str) -> bool:
    """Tell whether a higher value of a metric is better, with the default variant of a protocol's code.

    Raises:
        ConfigError: neither higher nor lower values are better.
    """
    info = info_of(metric, code)
    if info.direction == 'neither':
        raise ConfigError(f'{metric} cannot rank methods: neither higher nor lower values are better.',
                          'Leave it out of the comparison; `vlfusion evaluate` computes it.')
    return info.higher


def _reference(value: float | None, form: str, pad: str) -> str:
    """The cell of a row that takes no part in the comparison."""
    if value is None:
        return ''
    text, zeros = without_zeros(numeral(value, form)) if pad else (numeral(value, form), '')
    return text + pad.format(zeros) * bool(zeros)


def places_of(ranks: Mapping[str, float]) -> dict[str, int]:
    """The place of each method by its mean rank; equal ranks share the better place, and methods without a rank get 0.

    >>> places_of({'a': 2.5, 'b': 1.0, 'c': 1.0, 'd': math.nan})
    {'a': 3, 'b': 1, 'c': 1, 'd': 0}
    """
    return {method: 0 if math.isnan(rank) else 1 + sum(other < rank for other in ranks.values())
            for method, rank in ranks.items()}


def _in_latex(text: str) -> str:
    """Escape a text for LaTeX."""
    signs = {'\\': r'\textbackslash{}', **{sign: f'\\{sign}' for sign in '&%$#_{}'}, '~': r'\textasciitilde{}',
             '^': r'\textasciicircum{}'}
    return ''.join(signs.get(sign, sign) for sign in text)
