"""Intervals and significant differences of the scores of a set, such as mAP and mIoU, by drawing images.

The score of a set is no mean over its images, so no test of means applies to it. Intervals come from the bootstrap:
sets of as many images are drawn with replacement and scored (Efron, Annals of Statistics 7(1), 1979). Two methods are
compared by a permutation test, approximate randomisation: if they were alike, the predictions of any image could be
swapped between them. The p is the share of swaps that give a difference at least as large as the one that was found
(Noreen, Computer-Intensive Methods for Testing Hypotheses, 1989; Yeh, COLING 2000, for F scores of sets). With few
images all swaps are made, so p is exact. Holm's correction covers the number of pairs of methods.

Values of single images are compared by `vlfusion.analysis.statistics.compare`, as those of any other metric: the `rows`
of scores are rows of a leaderboard. The two answer different questions. A test of the set weighs large things, rare
classes and confident mistakes as the score does; a test by image asks whether most images get better.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from math import ceil

import numpy as np
from jaxtyping import Float, Int

from vlfusion.analysis.leaderboard import Leaderboard
from vlfusion.analysis.statistics import Comparison, adjust
from vlfusion.downstream.scoring.set_scores import SetScores
from vlfusion.errors import DataError, listing

#: Called with the number of steps done and of all.
Progress = Callable[[int, int], None]
#: Drawn sets for an interval, and swaps for a p.
RESAMPLES = 1000
#: Swaps that reach a difference, after which its p is known well enough.
ENOUGH = 50
#: Differences that are equal up to rounding.
ROUNDING = 1e-12
#: Meaning of the marks in a table of sets.
LEGEND = ('Scores of the whole set; in brackets the rank, 1 plus the number of methods that are significantly better '
          '(permutation test over the images, Holm). Bold beats every other method; = marks a tie: no method is '
          'better, but it does not beat all.')


def intervals(scores: SetScores, *, alpha: float = 0.05, resamples: int = RESAMPLES,
              cases: Sequence[str] | None = None) -> dict[str, tuple[float, float]]:
    """Bootstrap intervals of a set's scores at `1 - alpha` (percentiles), with a fixed seed, by column.

    Drawn sets in which a score is not defined, because no image has a label, are left out of its interval.

    Args:
        scores: scores of the set.
        alpha: one minus the level.
        resamples: number of drawn sets; 0 returns the scores themselves.
        cases: case of each image, in the order of `names`. Whole cases are drawn, as frames of one video are not
            independent. By default each image is a case of its own.

    Raises:
        DataError: there are not as many cases as images.
    """
    case_of_image = _cases(scores, cases)
    count = case_of_image.max() + 1
    if count < 2 or not resamples:
        return {column: (value, value) for column, value in scores.values.items()}
    rng, score, drawn = np.random.default_rng(0), scores.pooled(), []
    for _ in range(resamples):
        times = np.bincount(rng.integers(0, count, count), minlength=count)
        drawn.append(score(times[case_of_image][None]))
    with np.errstate(invalid='ignore'):
        low, high = (np.array([np.quantile(column[~np.isnan(column)], level) if (~np.isnan(column)).any() else np.nan
                               for column in np.stack(drawn, 1)]) for level in (alpha / 2, 1 - alpha / 2))
    return {column: (low[k].item(), high[k].item()) for k, column in enumerate(scores.columns)}


def differences(one: SetScores, other: SetScores, *, resamples: int = RESAMPLES,
                cases: Sequence[str] | None = None) -> dict[str, float]:
    """Two-sided p of the difference of two methods by column, of a paired permutation test over the images.

    A score is done once `ENOUGH` swaps have reached its difference, so methods that are much alike take few swaps
    (Besag and Clifford, Biometrika 78(2), 1991). 1000 swaps take twice the time of an interval.

    Args:
        one, other: scores of two methods on the same images.
        resamples: most random swaps, with a fixed seed. If all swaps are no more, all are made.
        cases: as for `intervals`; whole cases are swapped.

    Returns:
        NaN if a score is not defined for both methods.

    Raises:
        DataError: the images differ.
    """
    _check_alike({'one': one, 'other': other})
    case_of_image = _cases(one, cases)
    count = int(case_of_image.max()) + 1
    found = _values(one) - _values(other)
    if not np.nan_to_num(found).any():  # no swap gives a smaller difference
        return dict(zip(one.columns, np.where(np.isnan(found), np.nan, 1.).tolist(), strict=True))
    exact = 2 ** (count - 1) <= resamples
    reached, p = np.zeros(len(found)), np.full(len(found), np.nan)
    score, number = one.pooled([other]), 0
    for number, swapped in enumerate(_swaps(count, None if exact else resamples), 1):
        second = swapped[case_of_image]
        difference = score(np.stack([1 - second, second])) - score(np.stack([second, 1 - second]))
        # Where a swap leaves a score undefined, it counts against a difference.
        reached += ~(np.abs(difference) < np.abs(found) - ROUNDING)
        if not exact:
            p = np.where(np.isnan(p) & (reached == ENOUGH), ENOUGH / number, p)
            if (reached >= ENOUGH).all():
                break
    rest = reached / number if exact else (reached + 1) / (number + 1)
    p = np.where(np.isnan(p), rest, p)
    return dict(zip(one.columns, np.where(np.isnan(found), np.nan, p).tolist(), strict=True))


def compare_sets(scores: Mapping[str, SetScores], columns: Sequence[str] | None = None, *, alpha: float = 0.05,
                 resamples: int = RESAMPLES, correction: str = 'holm', cases: Sequence[str] | None = None,
                 progress: Progress = lambda *_: None) -> dict[str, Comparison]:
    """Compare methods by the scores of a set.

        compare_sets({'FILM': film, 'Average': average})['AP50'].winner

    Args:
        scores: scores of each method on the same images, as `score_detections` or `score_masks` returns them.
        columns: scores to compare; by default all. In each of them higher is better.
        alpha: level below which an adjusted p counts as a difference.
        resamples: number of drawn sets for intervals, and of swaps for each pair of methods. The smallest p of a pair
            is `1 / (swaps + 1)`, which Holm multiplies by the number of pairs. If there are many pairs, each gets more
            swaps, so that half of `alpha` can be reached.
        correction: a name in `vlfusion.analysis.statistics.CORRECTIONS`.
        cases: case of each image in the order of their names; by default each is a case of its own.
        progress: called after each interval and each pair, with the number done and of all.

    Returns:
        A comparison for each column. Its `means` are the scores of the set, its `p` is the smallest adjusted p. Methods
        whose score is not defined take no part.

    Raises:
        DataError: there is no method, or images or columns differ; all are named.
    """
    _check_alike(scores)
    first = next(iter(scores.values()))
    columns = first.columns if columns is None else columns
    pairs, of_all, raw = list(combinations(scores, 2)), {}, {}
    swaps = max(resamples, ceil(2 * len(pairs) / alpha))
    for method, one in scores.items():
        of_all[method] = intervals(one, alpha=alpha, resamples=resamples, cases=cases)
        progress(len(of_all), len(scores) + len(pairs))
    for pair in pairs:
        raw[pair] = differences(*(scores[method] for method in pair), resamples=swaps, cases=cases)
        progress(len(of_all) + len(raw), len(scores) + len(pairs))
    return {column: _comparison({method: one.values[column] for method, one in scores.items()},
                                {method: ends[column] for method, ends in of_all.items()},
                                {pair: levels[column] for pair, levels in raw.items()},
                                alpha, correction, len(first.names), len({*cases}) if cases else 0)
            for column in columns}


def board_of_sets(scores: Mapping[str, SetScores], columns: Sequence[str] | None = None, *, alpha: float = 0.05,
                  resamples: int = RESAMPLES, correction: str = 'holm', cases: Sequence[str] | None = None,
                  progress: Progress = lambda *_: None) -> Leaderboard:
    """Compare methods by the scores of a set, as a table. Arguments and errors as for `compare_sets`."""
    comparisons = compare_sets(scores, columns, alpha=alpha, resamples=resamples, correction=correction, cases=cases,
                               progress=progress)
    return Leaderboard('', len(next(iter(scores.values())).names), comparisons, alpha, names=tuple(scores),
                       legend=LEGEND)


def _comparison(values: Mapping[str, float], ends: Mapping[str, tuple[float, float]],
                raw: Mapping[tuple[str, str], float], alpha: float, correction: str, images: int, cases: int
                ) -> Comparison:
    methods = [method for method, value in values.items() if np.isfinite(value)]
    pairs = list(combinations(methods, 2))
    levels = dict(zip(pairs, adjust([raw[pair] for pair in pairs], correction).tolist() if pairs else [], strict=True))
    ranks = dict.fromkeys(methods, 1)
    for (one, other), level in levels.items():
        if level < alpha:
            ranks[other if values[one] > values[other] else one] += 1
    return Comparison(means={method: values[method] for method in methods},
                      intervals={method: ends[method] for method in methods}, ranks=ranks,
                      p=min(levels.values(), default=1.), pairs=levels, images=images, alpha=alpha,
                      cases=cases if cases < images else 0)


def _check_alike(scores: Mapping[str, SetScores]) -> None:
    if not scores:
        raise DataError('There is no method to compare.', 'Give the scores of at least one.')
    every = set().union(*(one.names for one in scores.values()))
    faults = [f'{method} lacks {len(lacking)} of {len(every)} images: {", ".join(lacking[:5])}'
              for method, one in scores.items() if (lacking := sorted(every - {*one.names}))]
    if len({one.columns for one in scores.values()}) > 1:
        faults += [f'{method} has {", ".join(one.columns)}' for method, one in scores.items()]
    if faults:
        raise DataError(f'The methods were not scored alike:\n{listing(faults)}',
                        'Score every method on the same images by the same definition.')


def _cases(scores: SetScores, cases: Sequence[str] | None) -> Int[np.ndarray, ' image']:
    """Number of the case of each image."""
    if cases is None:
        return np.arange(len(scores.names))
    if len(cases) != len(scores.names):
        raise DataError(f'There are {len(scores.names)} images, but cases of {len(cases)}.',
                        'Give the case of each image.')
    return np.unique(list(cases), return_inverse=True)[1]


def _swaps(count: int, resamples: int | None) -> Iterator[Int[np.ndarray, ' case']]:
    """Random swaps of cases, 1 where one is swapped; with None all swaps.

    Swapping all others too only turns the sign of a difference, so one case stays.
    """
    if resamples is None:
        for number in range(2 ** (count - 1)):
            yield np.array([number >> bit & 1 for bit in range(count)])
        return
    rng = np.random.default_rng(0)
    for _ in range(resamples):
        yield rng.integers(0, 2, count)


def _values(scores: SetScores) -> Float[np.ndarray, ' column']:
    return np.array([*scores.values.values()])
