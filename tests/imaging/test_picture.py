"""A network's output becomes grey levels and a picture in one way."""

import cv2
import numpy as np
import pytest
import torch

from vlfusion.errors import DataError
from vlfusion.imaging.chroma import add_chroma, mean_chroma
from vlfusion.imaging.images import read_image
from vlfusion.imaging.picture import make_picture, to_grey
from vlfusion.imaging.protocol import PROTOCOLS, get_protocol

RANDOM = np.random.default_rng(0)
COLOUR = RANDOM.integers(0, 256, (12, 16, 3), np.uint8)
GREY = RANDOM.integers(0, 256, (12, 16), np.uint8)
OUTPUT = torch.rand(1, 1, 12, 16, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1


@pytest.mark.parametrize('name', PROTOCOLS)
def test_grey_levels_are_those_of_the_protocol(name):
    protocol = get_protocol(name)
    picture = make_picture(OUTPUT, GREY, COLOUR, protocol=protocol, chroma='visible', name='p')
    assert np.array_equal(picture.grey, protocol.quantise(OUTPUT)[0, 0].numpy())
    assert np.array_equal(picture.grey, to_grey(OUTPUT, protocol.stretch, protocol.rounding))
    assert np.array_equal(picture.colour, add_chroma(picture.grey, GREY, COLOUR, 'visible')) and picture.name == 'p'


def test_a_picture_is_saved_in_colour_or_grey(tmp_path):
    picture = make_picture(OUTPUT, GREY, COLOUR, protocol=get_protocol('plain'), chroma='visible')
    picture.save(tmp_path / 'new/colour.png')
    picture.save(tmp_path / 'grey.png', grey=True)
    assert np.array_equal(read_image(tmp_path / 'new/colour.png'), picture.colour)
    assert np.array_equal(read_image(tmp_path / 'grey.png'), picture.grey)
    assert np.array_equal(np.asarray(picture), cv2.cvtColor(picture.colour, cv2.COLOR_BGR2RGB))


def test_grey_sources_give_a_grey_picture():
    picture = make_picture(OUTPUT, GREY, GREY, protocol=get_protocol('plain'), chroma='weighted')
    assert picture.colour is picture.grey and picture.rgb.shape == (12, 16)
    assert repr(picture) == "<Fused '': 16x12, grey>"


def test_a_notebook_shows_a_picture_in_one_line():
    picture = make_picture(OUTPUT, GREY, COLOUR, protocol=get_protocol('plain'), chroma='visible', name='p')
    assert repr(picture) == "<Fused 'p': 16x12, in colour>"


def test_an_output_that_is_not_finite_is_refused():
    with pytest.raises(DataError, match='NaN or infinity'):
        make_picture(OUTPUT / 0, GREY, COLOUR, protocol=get_protocol('plain'), chroma='visible')


def test_colour_strength_changes_colour_and_no_grey_level():
    options = dict(protocol=get_protocol('plain'), chroma='visible')
    picture, strong = (make_picture(OUTPUT, GREY, COLOUR, **options, **changes)
                       for changes in ({}, dict(colour_strength=1.5)))
    assert (picture.colour_strength, strong.colour_strength) == (1, 1.5)
    assert np.array_equal(picture.grey, strong.grey)
    assert np.array_equal(strong.colour, add_chroma(strong.grey, GREY, COLOUR, 'visible', 1.5))
    assert mean_chroma(strong.colour) > 1.2 * mean_chroma(picture.colour)
