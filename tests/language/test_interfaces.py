"""Observations are refused where they say nothing or leave the image."""

import pytest

from vlfusion.errors import DataError
from vlfusion.language.interfaces import Observation

BOXES = [(0.5, 0.1, 0.4, 0.2), (0.1, 0.1, 1.2, 0.2), (-0.1, 0.0, 0.5, 1.0), (0.1, 0.3, 0.2, 0.3)]


@pytest.mark.parametrize('box', BOXES)
def test_boxes_lie_within_the_image(box):
    with pytest.raises(DataError, match='not within the image'):
        Observation('a car', box=box)


def test_an_observation_says_something():
    with pytest.raises(DataError, match='has no text'):
        Observation('  ')
