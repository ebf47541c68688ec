"""Regions are weights of pixels with soft edges."""

import numpy as np
import pytest

from vlfusion.data.regions import BRIGHT, DARK, boxes_weight, region_weight
from vlfusion.errors import DataError
from vlfusion.language.instructions import REGIONS

DIM = np.full((40, 60), 0.4, np.float32)


@pytest.mark.parametrize('region', [*REGIONS])
def test_a_weight_is_a_map_of_the_picture_from_0_to_1(region):
    weight = region_weight(region, np.linspace(0, 1, 2400, dtype=np.float32).reshape(40, 60))
    assert weight.shape == (40, 60) and weight.dtype == np.float32
    assert 0 <= weight.min() <= weight.max() <= 1 and weight.max() > 0.95
    assert region == '' or weight.min() < 0.05


@pytest.mark.parametrize(('region', 'inside', 'outside'), [
    ('left', (20, 5), (20, 55)), ('right', (20, 55), (20, 5)), ('top', (3, 30), (36, 30)),
    ('bottom', (36, 30), (3, 30)), ('upper_left', (5, 5), (5, 55)), ('upper_right', (5, 55), (35, 55)),
    ('lower_left', (35, 5), (35, 55)), ('lower_right', (35, 55), (5, 55)), ('centre', (20, 30), (20, 2))])
def test_parts_of_the_picture_are_where_their_names_say(region, inside, outside):
    weight = region_weight(region, DIM)
    assert weight[inside] > 0.95 and weight[outside] < 0.05


@pytest.mark.parametrize(('one', 'other'), [('left', 'right'), ('top', 'bottom')])
def test_opposite_parts_make_the_whole_and_mirror_each_other(one, other):
    np.testing.assert_allclose(region_weight(one, DIM) + region_weight(other, DIM), 1, atol=1e-6)
    axis = 1 if one == 'left' else 0
    np.testing.assert_allclose(region_weight(one, DIM), np.flip(region_weight(other, DIM), axis), atol=1e-6)


def test_bright_and_dark_follow_the_levels():
    levels = np.array([[0, DARK, 0.4, BRIGHT, 1]], np.float32)
    np.testing.assert_allclose(region_weight('bright', levels), [[0, 0, 0, 0.5, 1]], atol=0.02)
    np.testing.assert_allclose(region_weight('dark', levels), [[1, 0.5, 0, 0, 0]], atol=0.02)


def test_a_region_that_does_not_exist_is_named():
    for region in ('middle', 'box:the people', 'left_'):
        with pytest.raises(DataError, match=f'no region {region!r}'):
            region_weight(region, DIM)


def test_boxes_are_weighed_together():
    one, other = (0.1, 0.1, 0.4, 0.5), (0.6, 0.5, 0.9, 0.9)
    both = boxes_weight([one, other], 100, 200)
    assert both.shape == (100, 200) and both.dtype == np.float32
    assert both[30, 50] > 0.99 and both[70, 150] > 0.99 and both[30, 150] < 0.01 and both[70, 50] < 0.01
    np.testing.assert_array_equal(both, np.maximum(boxes_weight([one], 100, 200), boxes_weight([other], 100, 200)))
    assert both[50, 50] == pytest.approx(0.5, abs=0.15), 'the edge is soft'
    assert not boxes_weight([], 4, 4).any()
    small = boxes_weight([(0.5, 0.5, 0.52, 0.58)], 500, 500)
    assert small[270, 255] > 0.99 and small[270, 265] < 0.01, 'a small thing is changed wholly, and little beside it'
