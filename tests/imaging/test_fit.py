"""Rules for pairs of different size."""

import logging

import numpy as np
import pytest

from vlfusion.console.notes import new_run
from vlfusion.errors import ConfigError, DataError
from vlfusion.imaging.fit import fit_image, fit_pair, fitted_size


def ramp(height, width, kind=np.uint16):
    """A ramp from black on the left to white on the right."""
    row = np.linspace(0, np.iinfo(kind).max, width).astype(kind)
    return np.tile(row, (height, 1))


def test_equal_sizes_are_left_alone():
    a, b = ramp(8, 12), ramp(8, 12, np.uint8)
    for rule in ('refuse', 'resize', 'crop'):
        fitted = fit_pair(a, b, rule)
        assert fitted[0] is a and fitted[1] is b


def test_refuse_names_both_files_and_the_ways_out():
    with pytest.raises(DataError, match='ir.png is 12x8, vi.png is 24x16') as error:
        fit_pair(ramp(8, 12), ramp(16, 24), names=('ir.png', 'vi.png'))
    assert '--fit resize' in error.value.remedy and 'check-pairs' in error.value.remedy


def test_resize_enlarges_the_smaller_image_and_keeps_its_bits(caplog):
    new_run()
    small, large = ramp(40, 60), np.dstack([ramp(80, 120, np.uint8)] * 3)
    with caplog.at_level(logging.WARNING):
        a, b = fit_pair(small, large, 'resize')
    assert b is large and a.shape == (80, 120) and a.dtype == np.uint16
    assert np.abs(a.astype(float) - ramp(80, 120)).max() < 0.01 * 65535
    assert 'resized to 120x80' in caplog.text and 'stretches' not in caplog.text


def test_resize_says_how_far_it_distorts(caplog):
    new_run()
    with caplog.at_level(logging.WARNING):
        assert fitted_size((512, 640), (3000, 4000), 'resize') == (3000, 4000)
    assert 'stretches it by 1.07 in one direction' in caplog.text


def test_resize_refuses_a_portrait_with_a_landscape():
    with pytest.raises(DataError, match='differ in proportion') as error:
        fitted_size((640, 480), (480, 640), 'resize')
    assert '90 degrees' in error.value.remedy


def test_crop_keeps_the_centre_of_both_without_resampling(caplog):
    new_run()
    a, b = np.arange(10 * 20).reshape(10, 20).astype(np.uint16), np.arange(12 * 16).reshape(12, 16).astype(np.uint8)
    with caplog.at_level(logging.WARNING):
        fitted_a, fitted_b = fit_pair(a, b, 'crop')
    assert np.array_equal(fitted_a, a[:, 2:18]) and np.array_equal(fitted_b, b[1:11])
    assert 'cut about their centres' in caplog.text


def test_cubic_overshoot_stays_within_the_type():
    edge = np.zeros((8, 8), np.uint8)
    edge[:, 4:] = 255
    larger = fit_image(edge, (31, 31), 'resize')
    assert larger[:, :12].max() <= 12 and larger[:, -12:].min() >= 243


def test_an_unknown_rule_is_refused_with_a_suggestion():
    with pytest.raises(ConfigError, match="Unknown rule 'rezise'") as error:
        fitted_size((8, 8), (9, 9), 'rezise')
    assert 'resize' in error.value.remedy
