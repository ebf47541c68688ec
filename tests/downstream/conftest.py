"""Pictures of odd sizes, and boxes in them."""

import numpy as np
import pytest

from vlfusion.downstream.boxes import Boxes


@pytest.fixture
def odd_pictures() -> list[np.ndarray]:
    """Two noisy pictures of one odd size, and one of another."""
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (*size, 3), np.uint8) for size in ((53, 75), (53, 75), (40, 31))]


@pytest.fixture
def no_boxes() -> Boxes:
    return Boxes(np.zeros((0, 4)), np.zeros(0, np.int64))


@pytest.fixture
def one_box() -> Boxes:
    """A box to learn from, and an ignored one, which has no width."""
    return Boxes(np.array([[10., 20, 40, 30], [5, 5, 5, 9]]), np.array([1, 0]), ignored=np.array([False, True]))
