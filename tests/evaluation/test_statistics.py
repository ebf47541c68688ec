"""NaN and infinity are not averaged away."""

import math

import numpy as np
import pytest

from vlfusion.errors import DataError
from vlfusion.evaluation.statistics import means, statistics, summary


def test_a_mean_with_a_value_that_is_not_finite_is_not_finite():
    rows = [{'name': 'a', 'protocol': 'film.1', 'EN': 5.0, 'MI:film': math.nan, 'truth/PSNR': math.inf},
            {'name': 'b', 'protocol': 'film.1', 'EN': 6.0, 'MI:film': 1.0, 'truth/PSNR': 30.0}]
    assert means(rows) == {'EN': 5.5, 'MI:film': pytest.approx(math.nan, nan_ok=True), 'truth/PSNR': math.inf}
    assert summary(rows)['MI:film']['not_finite'] == 1 and 'not_scored' not in summary(rows)['EN']


def test_the_deviation_is_that_of_the_population():
    assert statistics(np.array([1., 3.])) == {'mean': 2., 'std': 1., 'median': 2.}


def test_no_rows():
    with pytest.raises(DataError, match='no image'):
        means([])
