"""The halves of an image agree on a true movement, and on no false one."""

import numpy as np
import pytest

from vlfusion.imaging.registration import edges
from vlfusion.imaging.registration.motion import movement


def noise(seed, size=(96, 128)):
    return np.random.default_rng(seed).normal(size=size).astype(np.float32)


@pytest.mark.parametrize('motion', ['rigid', 'homography'])
def test_halves_agree_if_the_images_do(motion):
    scene = noise(0)
    a, b = scene + noise(1) / 4, -scene + noise(2) / 4
    assert edges.half_difference(a, b, np.eye(3), motion) < 0.3


def test_halves_differ_at_a_false_movement_and_for_images_of_different_scenes():
    assert edges.half_difference(noise(0), noise(1), np.eye(3), 'similarity') > 1
    assert edges.half_difference(noise(0), noise(0), movement([0.4, -0.3, 0.2]), 'similarity') > 1
