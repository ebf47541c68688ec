"""Conclusions of a comparison, in sentences that its statistics support."""

from collections.abc import Sequence

from vlfusion.analysis.leaderboard import Leaderboard
from vlfusion.analysis.numbers import span

#: Largest number of methods that a sentence names; the others are counted.
MOST_NAMED = 3


def conclude(board: Leaderboard) -> list[str]:
    """Sentences on the significantly best methods and ties of each metric, and on how certain the overall order is."""
    compared = [comparison for comparison in board.comparisons.values() if len(comparison.means) > 1]
    on = f'On {board.images} pair{"s" * (board.images != 1)}'
    if not compared:
        sentences = [f'{on} there is nothing to compare: {_count(len(board.methods), "method")} '
                     f'{"has" if len(board.methods) == 1 else "have"} results.']
    elif board.warning:
        sentences = [f'{on} no method is shown to be better than another: with so few pairs no difference can be '
                     'significant.']
    else:
        sentences = [f'{on} {_winners(board)}', *_ties(board), *_order(board)]
    if board.note:
        sentences.append(board.note)
    if board.failures:
        sentences.append(f'{enumeration(list(board.failures))} failed.')
    return sentences


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
    return [f'In {enumeration(metrics)} {finding}.' for finding, metrics in groups.items()]


def _order(board: Leaderboard) -> list[str]:
    """Name the first method by mean rank, how certain its place is, and the methods without a rank."""
    places, ranks = board.places(), board.mean_ranks()
    sentences = []
    if first := [method for method, (place, *_) in places.items() if place == 1]:
        by_rank = 'By the mean rank over the metrics'
        _, best, worst = places[first[0]]
        if len(first) > 1:
            sentences = [f'{by_rank} {enumeration(first, MOST_NAMED)} share the first place ({ranks[first[0]]:.2f}).']
        elif best < worst:
            sentences = [f'{by_rank} {first[0]} stands first ({ranks[first[0]]:.2f}), but may take places '
                         f'{span(best, worst)}: {board.reasons_of_doubt}.']
        else:
            ways = ', and under every other way of scoring' if board.elsewhere else ''
            sentences = [f'{by_rank} {first[0]} stands first ({ranks[first[0]]:.2f}), whichever way differences that '
                         f'are not significant fall{ways}.']
    if unranked := [method for method in board.methods if method not in places]:
        sentences.append(f'{enumeration(unranked, MOST_NAMED)} {"has" if len(unranked) == 1 else "have"} no mean rank, '
                         'as not every score is finite.')
    return sentences


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
