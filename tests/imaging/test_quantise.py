"""Outputs become 8-bit levels by a stretch and a rounding."""

import pytest
import torch

from vlfusion.errors import ConfigError, DataError
from vlfusion.imaging.quantise import quantise


def test_quantise():
    fused = torch.tensor([[0.2, 0.4], [0.6, 0.7]]).reshape(2, 1, 1, 2)
    assert quantise(fused).flatten().tolist() == [51, 102, 153, 178]
    assert quantise(fused, 'min-max').flatten().tolist() == [0, 255, 0, 255]
    levels = torch.tensor([0.1, 0.9, 254.6, 255]).reshape(1, 1, 2, 2) / 255
    assert quantise(levels).flatten().tolist() == [0, 1, 255, 255]
    assert quantise(levels, rounding='truncate').flatten().tolist() == [0, 0, 254, 255]
    assert quantise(torch.tensor([-0.5, 1.5]).reshape(1, 1, 1, 2)).flatten().tolist() == [0, 255]


def test_quantise_without_a_stretch_takes_what_fits_only():
    fused = torch.tensor([0, 0.4, 0.6, 1]).reshape(1, 1, 2, 2)
    assert quantise(fused, 'none').flatten().tolist() == [0, 102, 153, 255]
    for wrong in (fused + 0.1, fused - 0.1):
        with pytest.raises(DataError, match=r'spans -?0.1 to [01].[19], outside \[0, 1\]'):
            quantise(wrong, 'none')


def test_quantise_takes_every_level_back():
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    for rounding in ('round', 'half-down', 'truncate'):
        assert torch.equal(quantise(levels / 255, rounding=rounding), levels)
    assert torch.equal(quantise((levels / 255).bfloat16()), (levels / 255).bfloat16().float().mul(255).round().byte())


def test_quantise_min_max_of_an_image_without_range():
    assert (quantise(torch.full((1, 1, 4, 4), 0.6), 'min-max') == 153).all()


@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
def test_quantise_refuses_what_is_not_finite(bad):
    fused = torch.zeros(1, 1, 2, 2)
    fused[0, 0, 1, 1] = bad
    with pytest.raises(DataError, match='NaN or infinity'):
        quantise(fused)


def test_quantise_refuses_unknown_options():
    for options in (dict(stretch='min'), dict(rounding='floor')):
        with pytest.raises(ConfigError):
            quantise(torch.zeros(1, 1, 2, 2), **options)


def test_quantise_to_sixteen_bits():
    fused = torch.tensor([0.0, 0.25, 0.5000001, 1.0]).reshape(1, 1, 1, 4)
    levels = quantise(fused, depth=16)
    assert levels.dtype == torch.uint16 and levels.flatten().tolist() == [0, 16384, 32768, 65535]
    assert quantise(fused / 2, 'min-max', 'truncate', depth=16).flatten().tolist()[::3] == [0, 65535]


def test_quantise_has_two_depths():
    with pytest.raises(ConfigError, match='depth 12'):
        quantise(torch.zeros(1, 1, 2, 2), depth=12)
