"""Numbers are held to their ranges, from the command line and from configs."""

import argparse
import math

import numpy as np
import pytest

from vlfusion.errors import ConfigError
from vlfusion.guards.ranges import COUNT, FRACTION, POSITIVE, SEED, WHOLE


@pytest.mark.parametrize(('number', 'good', 'bad'), [
    (COUNT, ['1', '20'], ['0', '-1', '1.5', 'two', '', 'nan', 'inf']),
    (WHOLE, ['0', '7'], ['-1', '0.5', 'x']),
    (SEED, ['0', '4294967295'], ['-1', '4294967296', 'a']),
    (FRACTION, ['0.05', '1e-3'], ['0', '1', '7', '-1', 'nan', 'inf', 'x']),
    (POSITIVE, ['1e-4', '3.5'], ['0', '-1', 'nan', 'inf', '-inf', 'x']),
])
def test_words_of_the_command_line_and_values_of_a_config(number, good, bad):
    for word in good:
        value = number(word)
        number.check('key', value)
        number.check('key', np.array([value])[0])
    for word in bad:
        with pytest.raises(argparse.ArgumentTypeError, match=f'{word!r} is not {number.words}'):
            number(word)
    for value in ('1', None, True, [1], math.nan, -1):
        with pytest.raises(ConfigError, match='alpha is '):
            number.check('alpha', value)
