"""Windows by named rules."""

from pathlib import Path

import numpy as np
import pytest

from vlfusion.errors import ConfigError, DataError
from vlfusion.volumes.volume import Volume
from vlfusion.volumes.windows import CT, RULES, find_window

VALUES = np.linspace(-1000, 1000, 2001, dtype=np.float32).reshape(3, 23, 29)


def volume(values=VALUES, **facts):
    return Volume(values, np.eye(4), Path('a.nii'), (Path('a.nii'),), **facts)


@pytest.mark.parametrize(('rule', 'low', 'high'), [
    (None, -980, 980), ('percentile', -980, 980), ('percentile:10,50', -800, 0), ('minmax', -1000, 1000),
    ('ct:brain', 0, 80), ('ct:bone', -500, 1300), ('40,80', 0, 80), ('-600,1500', -1350, 150)])
def test_rules(rule, low, high):
    window = find_window(rule, volume())
    assert (window.low, window.high) == pytest.approx((low, high), abs=1e-3)


def test_every_listed_window_of_ct_is_a_rule():
    for name in CT:
        assert f'ct:{name}' in RULES and find_window(f'ct:{name}', volume(modality='CT')).low < 200


def test_levels():
    window = find_window('40,80', volume())
    slice_ = np.array([[-5, 0, 20, 80, 300, np.nan]], np.float32)
    np.testing.assert_array_equal(window.levels(slice_), [[0, 0, 16384, 65535, 65535, 0]])
    np.testing.assert_array_equal(window.levels(np.full((2, 3), np.nan, np.float32)), np.zeros((2, 3)))
    assert str(window) == '40,80 (0 to 80)'


def test_suv():
    window = find_window('suv:0,7', volume(unit='SUVbw'))
    assert (window.low, window.high) == (0, 7) and str(window) == 'suv:0,7 (0 to 7 SUVbw)'
    with pytest.raises(DataError, match='needs SUV, but a.nii has none: its units'):
        find_window('suv:0,7', volume(remark='its units are CNTS'))


def test_values_without_a_number_do_not_count():
    values = VALUES.copy()
    values[0] = np.nan
    assert find_window('minmax', volume(values)).high == 1000
    assert find_window('percentile:0,100', volume(values)).low == values[1, 0, 0]


@pytest.mark.parametrize('rule', ['brain', 'ct:heart', 'percentile:50,10', '40,0', '40,-80', 'suv:7,0', '1,2,3',
                                  'nan,1'])
def test_rules_that_are_not_valid(rule):
    with pytest.raises(ConfigError):
        find_window(rule, volume(unit='SUVbw'))


def test_windows_that_do_not_fit():
    with pytest.raises(DataError, match='in Hounsfield units, but a.nii is MR'):
        find_window('ct:brain', volume(modality='MR'))
    with pytest.raises(DataError, match='No voxel of a.nii lies in the window 5000,10'):
        find_window('5000,10', volume())
    values = np.zeros((10, 10, 10), np.float32)
    values[0, 0, 0] = 7
    with pytest.raises(DataError, match='is empty: both its ends are 0, while values go from 0 to 7'):
        find_window('percentile', volume(values))
