"""Protocols turn outputs into grey levels as the published code does."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from imageio.core.util import image_as_uint

from vlfusion.errors import ConfigError
from vlfusion.imaging.protocol import PROTOCOLS, get_protocol

fused = torch.tensor([0.2, 0.3, 0.4, 0.6]).view(1, 1, 2, 2)


def test_film_stretches_each_image_and_truncates():
    other = fused + 0.2
    levels = get_protocol('film').quantise(torch.cat([fused, other]))
    assert levels.dtype == torch.uint8
    assert levels[0].flatten().tolist() == [0, 63, 127, 255]
    assert levels[1].flatten().tolist()[::3] == [0, 255]


def test_cddfuse_is_what_imageio_makes_of_its_output():
    output = torch.randn(1, 1, 60, 70, generator=torch.Generator().manual_seed(0))
    stretched = 255 * (output - output.min()) / (output.max() - output.min())
    assert np.array_equal(get_protocol('cddfuse').quantise(output)[0, 0], image_as_uint(stretched[0, 0].numpy(), 8))
    halves = torch.tensor([0, 0.5, 1.5, 2.5, 254.5, 255]).view(1, 1, 1, 6)
    assert get_protocol('cddfuse').quantise(halves / 255).flatten().tolist() == [0, 0, 1, 2, 254, 255]
    assert image_as_uint(halves[0, 0].numpy(), 8).flatten().tolist() == [0, 0, 1, 2, 254, 255]


def test_plain_rounds():
    assert get_protocol('plain').quantise(fused).flatten().tolist() == [51, 76, 102, 153]
    assert get_protocol('truncate').quantise(fused + 0.003).flatten().tolist() == [51, 77, 102, 153]
    assert get_protocol('plain').quantise(fused + 0.001).flatten().tolist() == [51, 77, 102, 153]
    assert get_protocol('plain').quantise(3 * fused - 0.7).flatten().tolist() == [0, 51, 128, 255]


def test_sources_are_whole_levels_under_the_film_luminance():
    levels = torch.arange(256.0).view(1, 1, 16, 16)
    assert torch.equal(get_protocol('film').grey_levels(levels / 255), levels)
    assert torch.equal(get_protocol('film').grey_levels((levels + 0.3).clamp(max=255) / 255), levels)


def test_a_protocol_cannot_change():
    assert {name: (p.name, p.version, p.code, p.colour) for name, p in PROTOCOLS.items()} == {
        'film': ('film', 1, 'film', 'luminance'), 'cddfuse': ('cddfuse', 1, 'cddfuse', 'luminance'),
        'vifb': ('vifb', 1, 'vifb', 'channels'), 'mefb': ('mefb', 1, 'mefb', 'channels'),
        'plain': ('plain', 1, '', 'luminance'), 'truncate': ('truncate', 1, '', 'luminance')}
    with pytest.raises(FrozenInstanceError):
        PROTOCOLS['film'].stretch = 'clip'


def test_unknown_name():
    with pytest.raises(ConfigError, match='Did you mean film'):
        get_protocol('flim')


def test_only_a_colour_file_is_scored_by_channel():
    grey, colour = np.zeros((2, 3), np.uint8), np.zeros((2, 3, 3), np.uint8)
    assert get_protocol('vifb').by_channel(colour) and not get_protocol('vifb').by_channel(grey)
    assert not get_protocol('film').by_channel(colour)
