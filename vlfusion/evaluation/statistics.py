"""Statistics of scores over images."""

import logging
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float
from mmengine.logging import print_log

from vlfusion.errors import listing
from vlfusion.evaluation.rows import Row, columns, computed
from vlfusion.metrics.undefined import Undefined


def statistics(values: Float[np.ndarray, ' image']) -> dict[str, float]:
    """Mean, standard deviation (of the population) and median, including NaN and infinity.

    >>> statistics(np.array([1., 2., 6.]))
    {'mean': 3.0, 'std': 2.160246899469287, 'median': 2.0}
    """
    with np.errstate(invalid='ignore'):
        return {'mean': values.mean().item(), 'std': values.std().item(), 'median': np.median(values).item()}


def summary(rows: Sequence[Row]) -> dict[str, dict[str, float | int]]:
    """Statistics of each column over the images for which it could be computed.

    `not_finite` counts values that are NaN or infinite, `not_scored` values that could not be computed.

    >>> summary([{'name': '001', 'EN': 6.0}, {'name': '002', 'EN': None}])
    {'EN': {'mean': 6.0, 'std': 0.0, 'median': 6.0, 'not_finite': 0, 'not_scored': 1}}
    """
    result = {}
    for name in columns(rows):
        values = computed(rows, name)
        result[name] = statistics(values) if len(values) else {}
        result[name] |= {'not_finite': unfinite(values)}
        if missing := len(rows) - len(values):
            result[name]['not_scored'] = missing
    return result


def means(rows: Sequence[Row], undefined: Iterable[Undefined] = ()) -> dict[str, float]:
    """The mean of each metric over the images.

    A value that is not finite makes the mean NaN or infinite, and a warning names the images.

    Args:
        rows: rows of the images.
        undefined: reasons for values that are not finite, for the warning.

    Raises:
        DataError: there is no row.

    >>> means([{'name': '001', 'EN': 6.0}, {'name': '002', 'EN': 7.0}])
    {'EN': 6.5}
    """
    scores = columns(rows)
    reasons = {(item.name, item.metric): f'{item.value}: {", ".join(item.reasons)}' for item in undefined}
    result = {name: statistics(values)['mean'] for name, values in scores.items()}
    for name, values in scores.items():
        blamed = [f'{row["name"]}: {reasons.get((row["name"], name), value)}'
                  for row, value in zip(rows, values, strict=True) if not np.isfinite(value)]
        if blamed:
            print_log(f'The mean {name} is {result[name]}, because {name} is not finite for {len(blamed)} of '
                      f'{len(rows)} images:\n{listing(blamed)}', logger='current', level=logging.WARNING)
    return result


def unfinite(values: Float[np.ndarray, ' image']) -> int:
    """Number of values that are NaN or infinite."""
    return int(np.count_nonzero(~np.isfinite(values)))
