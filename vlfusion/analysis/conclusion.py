"""Conclusions of a comparison, in sentences that its statistics support."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from vlfusion.analysis.leaderboard import Leaderboard, higher
from vlfusion.analysis.numbers import span
from vlfusion.evaluation.controls import CONTROL
from vlfusion.imaging.protocol import code_of

#: Largest number of methods that a sentence names; the others are counted.
MOST_NAMED = 3


@dataclass
class Conclusion:
    """Sentences on a comparison.

    Attributes:
        differs: the significantly best methods, and an overall order that is certain.
        ties: metrics without a significantly best method.
        doubts: an overall order that is not certain, metrics that reward control images, notes, and failures.
        certain: whether `differs` names a difference; otherwise it says that there is none.
    """

    differs: list[str]
    ties: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    certain: bool = False

    @property
    def sentences(self) -> list[str]:
        """All sentences, in the order of reading."""
        return [*self.differs, *self.ties, *self.doubts]


def conclude(board: Leaderboard) -> Conclusion:
    """Conclude which methods differ significantly, which do not, and what a reader must doubt."""
    compared = [comparison for comparison in board.comparisons.values() if len(comparison.means) > 1]
    on = f'On {board.images} pair{"s" * (board.images != 1)}'
    if not compared:
        found = Conclusion([f'{on} there is nothing to compare: {_count(len(board.methods), "method")} '
                            f'{"has" if len(board.methods) == 1 else "have"} results.'])
    elif board.warning:
        found = Conclusion([f'{on} no method is shown to be better than another: with so few pairs no difference can '
                            'be significant.'])
    else:
        certain, doubts = _order(board)
        wins = any(comparison.winner for comparison in compared)
        found = Conclusion([f'{on} {_winners(board)}', *certain], _ties(board), doubts, wins or bool(certain))
    found.doubts += _rewarded_controls(board)
    if board.note:
        found.doubts.append(board.note)
    if board.failures:
        found.doubts.append(f'{enumeration(list(board.failures))} failed.')
    return found


def _winners(board: Leaderboard) -> str:
    """Name the methods that are significantly better than every other, and the metrics."""
    wins: dict[str, list[str]] = {}
    for metric, comparison in board.comparisons.items():
        if comparison.winner:
            wins.setdefault(comparison.winner, []).append(metric)
    total = len(board.comparisons)
    if not wins:
        where = f'in any of the {total} metrics' if total > 1 else f'by {next(iter(board.comparisons))}'
        return f'no method is significantly better than every other {where}.'
    ordered = sorted(wins.items(), key=lambda item: -len(item[1]))
    (first, metrics), *others = ordered[:MOST_NAMED]
    if total == 1:
        return f'{first} is significantly better than every other method by {metrics[0]}.'
    share = f'{len(metrics)} of {total}' if len(metrics) < total else 'both' if total == 2 else f'all {total}'
    parts = [f'{first} is significantly better than every other method in {share} metrics ({enumeration(metrics)})',
             *(f'{method} in {len(own)} ({enumeration(own)})' for method, own in others)]
    if more := len(ordered) - len(parts):
        parts.append(f'{_count(more, "other method")} in others')
    return f'{enumeration(parts)}.'


def _ties(board: Leaderboard) -> list[str]:
    """Name the best methods under metrics without a winner, in a sentence for each group of methods."""
    groups: dict[str, list[str]] = {}
    for metric, comparison in board.comparisons.items():
        if len(comparison.means) > 1 and not comparison.winner:
            best = comparison.best
            if len(best) == len(comparison.means):
                finding = 'no two methods differ significantly'
            elif not best:
                finding = 'each method is significantly worse than some other'
            elif len(best) == 1:
                finding = f'nothing is significantly better than {best[0]}, but it does not beat every other method'
            else:
                finding = f'{enumeration(best, MOST_NAMED)} tie: nothing is significantly better than they are'
            groups.setdefault(finding, []).append(metric)
    return [f'In {enumeration(metrics)}, {finding}.' for finding, metrics in groups.items()]


def _order(board: Leaderboard) -> tuple[list[str], list[str]]:
    """Name the first method by mean rank, in the first list if its place is certain, and methods without a rank."""
    places, ranks = board.places(), board.mean_ranks()
    certain, doubts = [], []
    if first := [method for method, (place, *_) in places.items() if place == 1]:
        by_rank = 'By the mean rank over the metrics,'
        _, best, worst = places[first[0]]
        if len(first) > 1:
            doubts = [f'{by_rank} {enumeration(first, MOST_NAMED)} share the first place ({ranks[first[0]]:.2f}).']
        elif best < worst:
            doubts = [f'{by_rank} {first[0]} stands first ({ranks[first[0]]:.2f}), but may take places '
                      f'{span(best, worst)}: {board.reasons_of_doubt}.']
        else:
            ways = ', and under every other way of scoring' if board.elsewhere else ''
            certain = [f'{by_rank} {first[0]} stands first ({ranks[first[0]]:.2f}), whichever way differences that '
                       f'are not significant fall{ways}.']
    if unranked := [method for method in board.methods if method not in places]:
        doubts.append(f'{enumeration(unranked, MOST_NAMED)} {"has" if len(unranked) == 1 else "have"} no mean rank, '
                      'as not every score is finite.')
    return certain, doubts


def rewarded_controls(board: Leaderboard) -> dict[str, list[str]]:
    """For each metric, the control images whose mean is better than that of every method; best first."""
    code, rewarded = code_of(board.protocol), {}
    for metric, comparison in board.comparisons.items():
        sign = 1 if higher(metric, code) else -1
        best = max((sign * mean for mean in comparison.means.values()), default=float('inf'))
        means = {name: sign * row[metric] for name, row in board.references.items()
                 if name.startswith(CONTROL) and metric in row}
        if better := [name for name, mean in means.items() if mean > best]:
            rewarded[metric] = sorted(better, key=lambda name: -means[name])
    return rewarded


def _rewarded_controls(board: Leaderboard) -> list[str]:
    """Name the metrics under which trivial pictures score better than every method."""
    groups: dict[str, list[str]] = {}
    for metric, controls in rewarded_controls(board).items():
        groups.setdefault(enumeration([name.removeprefix(CONTROL) for name in controls]), []).append(metric)
    parts = [f'{enumeration(metrics)} ({controls})' for controls, metrics in groups.items()]
    return [f'Control images, which no method made, score better than every method in {enumeration(parts)}: '
            'there a better score is no proof of a better picture.'] * bool(parts)


def enumeration(words: Sequence[str], most: int | None = None) -> str:
    """Words as a list within a sentence.

    >>> enumeration(['EN']), enumeration(['EN', 'SD', 'SF']), enumeration('abcde', 3)
    ('EN', 'EN, SD and SF', 'a, b, c and 2 more')
    """
    words = list(words)
    if most and len(words) > most + 1:
        words = [*words[:most], f'{len(words) - most} more']
    return ' and '.join([', '.join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _count(number: int, noun: str) -> str:
    return f'{number} {noun}{"s" * (number != 1)}'
