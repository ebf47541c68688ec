"""Pairs of images that were moved by a known movement."""

import numpy as np

from vlfusion.imaging.registration.alignment import known_movement
from vlfusion.imaging.registration.motion import apply
from vlfusion.testing.moved_pairs import moved_pair


def test_the_movement_of_the_cut_images_takes_a_point_of_a_to_its_place_in_b():
    image = np.zeros((60, 80), np.uint8)
    image[30, 45] = 200
    a, b, known = moved_pair(image, image, known_movement(image.shape, shift=(5, -3), rotation=90), 0.1)
    assert a.shape == b.shape == (48, 64)
    row, column = np.unravel_index(a.argmax(), a.shape)
    x, y = apply(known, np.array([[column, row]], float))[0]
    assert b[round(y), round(x)] > 100 and np.allclose((x, y), np.unravel_index(b.argmax(), b.shape)[::-1], atol=0.6)


def test_without_a_margin_nothing_is_cut():
    image = np.arange(48, dtype=np.uint8).reshape(6, 8)
    a, b, known = moved_pair(image, image, np.eye(3), 0)
    assert np.array_equal(a, image) and np.array_equal(b, image) and np.array_equal(known, np.eye(3))
