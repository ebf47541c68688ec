"""Numbers behind an instruction: defaults that ask for nothing, and ranges."""

import pytest

from vlfusion.errors import ConfigError
from vlfusion.language.instructions import Ask


def test_the_defaults_ask_for_nothing():
    assert Ask().asked == {}
    assert Ask(gradient_b=0.4, detail=1.9).asked == {'gradient_b': 0.4, 'detail': 1.9}


@pytest.mark.parametrize('numbers', [
    dict(intensity_a=-0.1), dict(intensity_a=0.6, intensity_b=0.5), dict(gradient_b=1.1), dict(gain=0.),
    dict(colour=-1.), dict(detail=float('nan')), dict(contrast=float('inf')), dict(gradient_a=float('nan'))])
def test_numbers_out_of_range(numbers):
    with pytest.raises(ConfigError, match=next(iter(numbers)).removesuffix('_a').removesuffix('_b')):
        Ask(**numbers)
