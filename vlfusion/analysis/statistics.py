"""Significant differences between methods on the same images, tested with scipy.

Two methods are compared by Wilcoxon's signed-rank test. For more methods, Friedman's test in the form of Iman and
Davenport (1980) first tests whether any differ. If so, all pairs of methods are compared by Wilcoxon's test, with
Holm's correction (1979) for the number of comparisons. Unlike in Nemenyi's test, the result for two methods does not
depend on the ranks of other methods (Benavoli, Corani and Mangili, JMLR 2016).

Slices of one volume are not independent. If the cases of the images are given, each case counts once: tests compare the
means of the cases, and the bootstrap draws whole cases (Field and Welsh, JRSS B 69(3), 2007).

    Liu, Blasch and John, "Statistical comparison of image fusion algorithms: Recommendations", Information Fusion 2017
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import factorial, prod
from types import ModuleType

import numpy as np
from jaxtyping import Float

from vlfusion.errors import ConfigError, DataError, did_you_mean, needs


@dataclass(frozen=True)
class Comparison:
    """Comparison of methods under a metric.

    Attributes:
        means: mean over the images, by method.
        intervals: bootstrap interval of each mean at `1 - alpha` (percentiles).
        ranks: 1 plus the number of methods that are significantly better. Two methods that do not differ may have
            different ranks, because a lack of difference is not transitive.
        p: p of Iman and Davenport's test, or of Wilcoxon's for two methods; 1 if all methods score alike on every
            image.
        pairs: adjusted p of every two methods, in the order of `means`.
        images: number of images.
        alpha: level below which an adjusted p counts as a difference.
        cases: number of cases that the images belong to; 0 if each image is a case of its own.
    """

    means: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    ranks: dict[str, int]
    p: float
    pairs: dict[tuple[str, str], float]
    images: int
    alpha: float = 0.05
    cases: int = 0

    @property
    def best(self) -> list[str]:
        """The methods of rank 1: no other is significantly better."""
        return [method for method, rank in self.ranks.items() if rank == 1]

    @property
    def ranges(self) -> dict[str, tuple[int, int]]:
        """The best and the worst rank of each method, if differences that are not significant favour it or others."""
        ranges = {}
        for method, rank in self.ranks.items():
            differing = sum(level < self.alpha for pair, level in self.pairs.items() if method in pair)
            ranges[method] = rank, len(self.ranks) - (differing - (rank - 1))
        return ranges

    @property
    def winner(self) -> str | None:
        """The method that is significantly better than every other, if there is one."""
        if len(self.best) != 1 or len(self.means) < 2:  # none is best if A beats B, B beats C and C beats A
            return None
        [best] = self.best
        return best if max(level for pair, level in self.pairs.items() if best in pair) < self.alpha else None


def compare(scores: Mapping[str, Float[np.ndarray, ' image']], *, higher: bool = True, alpha: float = 0.05,
            resamples: int = 2000, correction: str = 'holm', cases: Sequence[str] | None = None) -> Comparison:
    """Compare methods that were scored on the same images.

    Args:
        scores: a value for each image, by method, in the same order of images.
        higher: whether a higher value is better.
        alpha: level below which an adjusted p counts as a difference.
        resamples: number of bootstrap samples; 0 sets each interval to its mean, for callers that need ranks only.
        correction: correction for the number of comparisons: `holm`; or `finner`, which has more power if there are
            many.
        cases: case of each image; by default each image is a case of its own.

    Raises:
        DataError: there is no method or no image, or different numbers of images, or values that are not finite.
        ConfigError: there is no such correction, or scipy is not installed.
    """
    if correction not in CORRECTIONS:
        raise ConfigError(f'There is no correction {correction!r}.', did_you_mean(correction, CORRECTIONS))
    names = list(scores)
    values = [np.asarray(scores[name], float) for name in names]
    if len({len(value) for value in values}) != 1 or not len(values[0]):
        raise DataError(f'A comparison needs methods on the same images, but got as many images as '
                        f'{ {name: len(value) for name, value in scores.items()} }.', 'Score the methods on one set.')
    if broken := [name for name, value in zip(names, values, strict=True) if not np.isfinite(value).all()]:
        raise DataError(f'Not every score of {", ".join(broken)} is finite.',
                        'Leave the metric or the image out; `vlfusion evaluate` says why a value is not finite.')
    stats = scipy_stats()
    images, named = len(values[0]), dict(zip(names, values, strict=True))
    values = [case_means(value, cases) for value in values]
    pairs = list(combinations(range(len(names)), 2))
    raw = [wilcoxon(values[i], values[j]) for i, j in pairs]
    p = raw[0] if len(names) == 2 else _iman_davenport(stats, values)
    adjusted = adjust(raw, correction) if p < alpha else np.ones(len(pairs))
    worse = dict.fromkeys(range(len(names)), 0)
    for (i, j), level in zip(pairs, adjusted, strict=True):
        if level < alpha:
            # Which of the two is better is asked as the test asks it: by the ranks of their differences.
            differences = (values[i] - values[j]) * (1 if higher else -1)
            ranks = stats.rankdata(np.abs(differences)) * np.sign(differences)
            worse[j if ranks.sum() > 0 else i] += 1
    return Comparison(
        means={name: value.mean().item() for name, value in named.items()},
        intervals={name: interval(value, alpha, resamples, cases) for name, value in named.items()},
        ranks={name: 1 + worse[index] for index, name in enumerate(names)}, p=float(p),
        pairs={(names[i], names[j]): float(level) for (i, j), level in zip(pairs, adjusted, strict=True)},
        images=images, alpha=alpha,
        cases=len(values[0]) if len(values[0]) < images else 0)


def interval(values: Float[np.ndarray, ' image'], alpha: float = 0.05, resamples: int = 2000,
             cases: Sequence[str] | None = None) -> tuple[float, float]:
    """The bootstrap interval of a mean at `1 - alpha` (percentiles), with a fixed seed; a single value is returned.

    Args:
        values: a value for each image.
        alpha: one minus the level.
        resamples: number of bootstrap samples; 0 returns the mean.
        cases: case of each image. Whole cases are drawn, and a single case is returned as its mean.
    """
    sums, counts = _sums(values, cases)
    if len(sums) < 2 or not resamples:
        return values.mean().item(), values.mean().item()
    by_case = len(sums) < len(values)
    ends = scipy_stats().bootstrap(
        (sums, counts) if by_case else (values,), _mean_of_drawn if by_case else np.mean, n_resamples=resamples,
        confidence_level=1 - alpha, method='percentile', paired=by_case,
        rng=np.random.default_rng(0)).confidence_interval
    return float(ends.low), float(ends.high)


def case_means(values: Float[np.ndarray, ' image'],
               cases: Sequence[str] | None = None) -> Float[np.ndarray, ' case']:
    """The mean of each case, in the order of their names; the values themselves if each image is a case of its own.

    >>> case_means(np.array([1., 2., 6.]), ['a', 'a', 'b']).tolist()
    [1.5, 6.0]
    """
    sums, counts = _sums(values, cases)
    return values if len(sums) == len(values) else sums / counts


def _sums(values: Float[np.ndarray, ' image'], cases: Sequence[str] | None
          ) -> tuple[Float[np.ndarray, ' case'], Float[np.ndarray, ' case']]:
    """The sum of each case's values, and their number."""
    if cases is None:
        return values, np.ones(len(values))
    if len(cases) != len(values):
        raise DataError(f'There are {len(values)} images, but cases of {len(cases)}.', 'Give the case of each image.')
    _, index = np.unique(list(cases), return_inverse=True)
    return np.bincount(index, values), np.bincount(index).astype(float)


def _mean_of_drawn(sums: np.ndarray, counts: np.ndarray, axis: int = -1) -> np.ndarray:
    """The mean over all images of the cases that were drawn."""
    return sums.sum(axis) / counts.sum(axis)


def too_few(images: int, comparisons: int, alpha: float) -> bool:
    """Tell whether there are too few images for any significant difference.

    Wilcoxon's p on n images is at least `2 / 2^n`, and Holm multiplies it by the number of comparisons.

    >>> too_few(6, 1, 0.05), too_few(6, 3, 0.05)
    (False, True)
    """
    return 2. ** (1 - images) * comparisons >= alpha


#: Corrections for the number of comparisons: the adjusted p of the i-th smallest of m, before it is made monotonic.
CORRECTIONS = {
    'holm': lambda p, i, m: np.minimum((m - i + 1) * p, 1),  # Scandinavian Journal of Statistics 6, 1979
    'finner': lambda p, i, m: 1 - (1 - p) ** (m / i)}  # Journal of the American Statistical Association 88(423), 1993


def adjust(levels: Sequence[float], correction: str = 'holm') -> Float[np.ndarray, ' comparison']:
    """The p of several comparisons, each adjusted for their number.

    statsmodels has no correction by Finner, and its Holm runs a garbage collection at each call, which takes a second
    if torch is loaded. Tests compare this function with it.

    >>> adjust([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    levels = np.asarray(levels, float)
    order = np.argsort(levels)
    adjusted = CORRECTIONS[correction](levels[order], np.arange(1, len(levels) + 1), len(levels))
    result = np.empty_like(adjusted)
    result[order] = np.maximum.accumulate(adjusted)
    return result


def scipy_stats() -> ModuleType:
    """`scipy.stats`; raises a ConfigError if scipy is not installed."""
    with needs('Comparing methods', 'scipy', 'benchmark'):
        from scipy import stats
    return stats


def wilcoxon(one: Float[np.ndarray, ' image'], other: Float[np.ndarray, ' image']) -> float:
    """Two-sided p of Wilcoxon's test; ranks of equal scores are split between the sides, and equal scores give 1."""
    stats = scipy_stats()
    return 1. if np.array_equal(one, other) else float(stats.wilcoxon(one, other, zero_method='zsplit').pvalue)


def _iman_davenport(stats, values: list[np.ndarray]) -> float:
    """`F = (n - 1) chi2 / (n (k - 1) - chi2)` with `k - 1` and `(k - 1)(n - 1)` degrees of freedom."""
    count, images = len(values), len(values[0])
    if images < 2 or all(np.array_equal(values[0], value) for value in values):
        return 1.  # also of a single method
    chi2 = stats.friedmanchisquare(*values).statistic
    rest = images * (count - 1) - chi2
    if rest <= 1e-9 * images:
        # Every image orders the methods alike, so F is infinite. The exact p counts the orders, given the ties.
        _, ties = np.unique([value[0] for value in values], return_counts=True)
        orders = factorial(count) // prod(map(factorial, ties.tolist()))
        return 1 / orders ** (images - 1)
    return float(stats.f.sf((images - 1) * chi2 / rest, count - 1, (count - 1) * (images - 1)))
