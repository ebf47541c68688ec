"""Rules of reading: ranges, pages and bands."""

import numpy as np
import pytest

from vlfusion.errors import ConfigError, DataError
from vlfusion.imaging.reading.rule import AS_STORED, Reading, rescale


@pytest.mark.parametrize(('given', 'expected'), [
    (None, Reading()), ('full', Reading()), ('minmax', Reading('minmax')),
    ('percentile:1,99', Reading('percentile', 1, 99)), (['percentile:1', 99], Reading('percentile', 1, 99)),
    ('7000,8500', Reading('values', 7000, 8500)), ((7000, 8500), Reading('values', 7000, 8500)),
    ('-20.5, 1e3', Reading('values', -20.5, 1000))])
def test_ranges(given, expected):
    assert Reading.of(given) == expected


@pytest.mark.parametrize('wrong', ['minmaks', '', '5', '8500,7000', '1,1', 'percentile:1,101', 'percentile:-1,50',
                                   'percentile:99,1', (1, 2, 3), (), 5, 'nan,1', '1;2'])
def test_a_wrong_range_is_refused(wrong):
    with pytest.raises(ConfigError, match='range'):
        Reading.of(wrong)


@pytest.mark.parametrize(('given', 'expected'), [(None, ()), (2, (2,)), ('4', (4,)), ('4,3,2', (4, 3, 2)), ([1], (1,))])
def test_bands(given, expected):
    assert Reading.of(bands=given).bands == expected


@pytest.mark.parametrize('wrong', ['', 0, '0', '1,2', [1, 2, 3, 4], 'red', True, '-1', []])
def test_wrong_bands_are_refused(wrong):
    with pytest.raises(ConfigError, match='one band or three'):
        Reading.of(bands=wrong)


@pytest.mark.parametrize('wrong', [0, -1, 'first', True, 1.5])
def test_a_wrong_page_is_refused(wrong):
    with pytest.raises(ConfigError, match='page'):
        Reading.of(page=wrong)


@pytest.mark.parametrize(('rule', 'words'), [
    (AS_STORED, ''), (Reading.of(page=1), 'page=1'),
    (Reading.of('minmax', 2, (3, 2, 1)), 'range=minmax page=2 bands=3,2,1'),
    (Reading.of('percentile:0.5,99.5'), 'range=percentile:0.5,99.5'), (Reading.of((-20, 50)), 'range=-20,50')])
def test_a_rule_in_words(rule, words):
    assert str(rule) == words


VALUES = np.array([[7000, 7500], [8000, 8500]], np.uint16)


@pytest.mark.parametrize(('given', 'expected'), [
    ('minmax', [0, 21845, 43690, 65535]), ((7500, 8500), [0, 0, 32768, 65535]),
    ('percentile:0,100', [0, 21845, 43690, 65535])])
@pytest.mark.parametrize('dtype', [np.uint16, np.int16, np.int32, np.float32, np.float64])
def test_rescale(given, expected, dtype):
    levels = rescale(VALUES.astype(dtype), Reading.of(given))
    assert levels.dtype == np.uint16 and np.abs(levels.astype(int).ravel() - expected).max() <= 1


def test_rescale_of_colour_keeps_the_order_of_its_channels():
    image = np.dstack([VALUES, VALUES + 100, VALUES + 200])
    levels = rescale(image, Reading.of('minmax')).astype(int)
    assert levels.min() == 0 and levels.max() == 65535 and (np.diff(levels, axis=-1) > 0).all()


def test_pixels_without_a_value_are_black_and_do_not_count():
    image = np.array([[np.nan, np.inf, -9999], [10, 20, 30]], np.float32)
    assert rescale(image, Reading.of('minmax'), image != -9999).tolist() == [[0, 0, 0], [0, 32768, 65535]]
    with pytest.raises(DataError, match='no pixel with a value'):
        rescale(np.full((2, 2), np.nan), Reading.of('minmax'))


def test_an_image_of_one_value_is_black():
    assert not rescale(np.full((2, 2), 7000, np.uint16), Reading.of('minmax')).any()
