"""Movements and their parameters."""

import numpy as np
import pytest

from vlfusion.imaging.registration.alignment import known_movement
from vlfusion.imaging.registration.motion import apply, in_pixels, movement, normalised, rotation_and_scale


@pytest.mark.parametrize('angle', [-170, -30, 0, 5, 90])
def test_rotation_and_scale_are_read_back(angle):
    assert rotation_and_scale(known_movement((40, 60), (3, 4), angle, 1.2)) == pytest.approx((angle, 1.2))


def test_the_first_three_parameters_make_rotations():
    linear = movement([0.3, -0.2, 0.7])[:2, :2]
    assert np.allclose(linear @ linear.T, np.eye(2), atol=1e-12)


def test_a_movement_and_its_opposite_cancel():
    parameters = np.random.default_rng(0).normal(size=8) / 5
    product = movement(parameters) @ movement(-parameters)
    assert np.allclose(product, np.eye(3), atol=1e-9)


def test_pixels_and_normalised_coordinates_are_two_views():
    matrix = known_movement((30, 50), (2, -1), 10, 0.9)
    assert np.allclose(in_pixels(normalised(matrix, (30, 50)), (30, 50)), matrix)


def test_a_rotation_is_counter_clockwise_about_the_centre():
    moved = apply(known_movement((101, 101), rotation=90), np.array([[50., 50], [60, 50]]))
    assert np.allclose(moved, [[50, 50], [50, 40]])  # rows count downwards
