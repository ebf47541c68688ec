"""Which methods differ on the same images, by scipy and statsmodels.

Two methods are compared by Wilcoxon's signed-rank test. Of more, the test of Friedman in the form of Iman and
Davenport (1980) first asks whether any differ; if so, every two are compared by Wilcoxon's test, with Holm's correction
(1979) for the number of comparisons. Ranks of the others decide nothing about two methods, as they would in Nemenyi's
test (Benavoli, Corani and Mangili, JMLR 2016).

    Liu, Blasch and John, "Statistical comparison of image fusion algorithms: Recommendations", Information Fusion 2017
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float

from vlfusion.errors import ConfigError, DataError


@dataclass(frozen=True)
class Comparison:
    """What is known of the methods under one metric.

    Attributes:
        means: the mean over the images, by method.
        intervals: the bootstrap interval of each mean at `1 - alpha` (percentiles).
        ranks: 1 plus the number of methods that are significantly better; methods that equally many are better than
            share a rank. Not to differ is not transitive: two that do not differ may stand at different ranks.
        p: Iman and Davenport's, or Wilcoxon's for two methods; 1 where all methods score alike on every image.
        pairs: Holm's adjusted p of every two methods, in the order of `means`.
        images: how many they were compared on.
    """

    means: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    ranks: dict[str, int]
    p: float
    pairs: dict[tuple[str, str], float]
    images: int

    @property
    def best(self) -> list[str]:
        """The methods that no other is significantly better than."""
        return [method for method, rank in self.ranks.items() if rank == 1]


def compare(scores: Mapping[str, Float[np.ndarray, 'image']], higher: bool = True, alpha: float = 0.05,
            resamples: int = 2000) -> Comparison:
    """Compare methods that were scored on the same images.

    Args:
        scores: for each method one value an image, in one order of the images.
        higher: whether a higher value is better.
        alpha: differences of an adjusted p below it count.
        resamples: of the bootstrap.

    Raises:
        DataError: there are fewer than two methods, or different numbers of images, or values that are not finite.
        ConfigError: scipy or statsmodels is not installed.
    """
    names = list(scores)
    values = [np.asarray(scores[name], float) for name in names]
    if len(names) < 2 or len({len(value) for value in values}) > 1 or len(values[0]) < 2:
        raise DataError(f'A comparison needs two methods or more on the same two images or more, but got '
                        f'{ {name: len(value) for name, value in scores.items()} }.', 'Score the methods on one set.')
    if broken := [name for name, value in zip(names, values, strict=True) if not np.isfinite(value).all()]:
        raise DataError(f'Not every score of {", ".join(broken)} is finite.',
                        'Leave the metric or the image out; `vlfusion evaluate` says why a value is not finite.')
    try:
        from scipy import stats
        from statsmodels.stats.multitest import multipletests
    except ImportError as error:
        raise ConfigError(f'Comparing methods needs scipy and statsmodels: {error}.',
                          "pip install 'vlfusion[benchmark]'") from error

    pairs = list(combinations(range(len(names)), 2))
    raw = [_wilcoxon(stats, values[i], values[j]) for i, j in pairs]
    p = raw[0] if len(names) == 2 else _iman_davenport(stats, values)
    adjusted = multipletests(raw, method='holm')[1] if p < alpha else np.ones(len(pairs))
    worse = dict.fromkeys(range(len(names)), 0)
    for (i, j), level in zip(pairs, adjusted, strict=True):
        if level < alpha:
            # Which of the two is better is asked as the test asks it: by the ranks of their differences.
            differences = (values[i] - values[j]) * (1 if higher else -1)
            ranks = stats.rankdata(np.abs(differences)) * np.sign(differences)
            worse[j if ranks.sum() > 0 else i] += 1
    found = [stats.bootstrap((value,), np.mean, n_resamples=resamples, confidence_level=1 - alpha,
                             method='percentile', rng=np.random.default_rng(0)).confidence_interval for value in values]
    intervals = [(float(one.low), float(one.high)) for one in found]
    return Comparison({name: value.mean().item() for name, value in zip(names, values, strict=True)},
                      dict(zip(names, intervals, strict=True)),
                      {name: 1 + worse[index] for index, name in enumerate(names)}, float(p),
                      {(names[i], names[j]): float(level) for (i, j), level in zip(pairs, adjusted, strict=True)},
                      len(values[0]))


def _wilcoxon(stats, one: np.ndarray, other: np.ndarray) -> float:
    """Two-sided; ranks of equal scores are split between the sides, and all equal is no difference."""
    return 1. if np.array_equal(one, other) else float(stats.wilcoxon(one, other, zero_method='zsplit').pvalue)


def _iman_davenport(stats, values: list[np.ndarray]) -> float:
    """`F = (n - 1) chi2 / (n (k - 1) - chi2)` with `k - 1` and `(k - 1)(n - 1)` degrees of freedom."""
    count, images = len(values), len(values[0])
    if all(np.array_equal(values[0], value) for value in values):
        return 1.
    chi2 = stats.friedmanchisquare(*values).statistic
    rest = images * (count - 1) - chi2
    if rest <= 1e-9 * images:
        return 0.  # every image orders the methods alike
    return float(stats.f.sf((images - 1) * chi2 / rest, count - 1, (count - 1) * (images - 1)))
