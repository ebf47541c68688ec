"""The picture that an instruction asks for, and the losses that compare with it."""

import math
from dataclasses import astuple

import pytest
import torch

from vlfusion.errors import DataError
from vlfusion.imaging import asked_picture
from vlfusion.imaging.blur import blurred
from vlfusion.language.instructions import Ask
from vlfusion.losses import (
    AskedGradientLoss,
    AskedIntensityLoss,
    MaxGradientLoss,
    MaxIntensityLoss,
    ReadingLoss,
    RegionLoss,
    SwapLoss,
)
from vlfusion.models import FusionModel
from vlfusion.registry import LOSSES


def asks(*instructions):
    return torch.tensor([astuple(Ask(**numbers)) for numbers in instructions])


@pytest.fixture
def sources():
    """Two images whose levels leave room for a gain of 1.3."""
    return (torch.rand(2, 1, 1, 24, 31, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.1).unbind()


@pytest.fixture
def whole():
    return torch.ones(1, 1, 24, 31)


def test_asking_for_nothing_keeps_the_picture(sources, whole):
    torch.testing.assert_close(asked_picture(*sources, asks({}), whole), torch.maximum(*sources))
    reference = torch.rand(1, 1, 24, 31)
    torch.testing.assert_close(asked_picture(*sources, asks({}), whole, reference), reference)


def test_brightness_and_contrast_by_hand(sources, whole):
    brightest = torch.maximum(*sources)
    torch.testing.assert_close(asked_picture(*sources, asks(dict(gain=1.3)), whole), 1.3 * brightest)
    mean = brightest.mean()
    torch.testing.assert_close(asked_picture(*sources, asks(dict(contrast=0.5)), whole), mean + (brightest - mean) / 2)
    assert asked_picture(*sources, asks(dict(gain=9)), whole).max() == 1, 'levels are clipped'


def test_a_source_leads_in_intensity_and_in_detail(sources, whole):
    a, b = sources
    leads = asks(dict(intensity_a=1, gradient_a=1), dict(intensity_b=1, gradient_b=1))
    for source, ask in zip(sources, leads, strict=True):
        torch.testing.assert_close(asked_picture(a, b, ask[None], whole), source)
    mixed = asked_picture(a, b, asks(dict(intensity_a=1, gradient_b=1)), whole)
    torch.testing.assert_close(mixed, blurred(a) + b - blurred(b))


def test_detail_is_what_a_blur_takes_away(sources, whole):
    brightest = torch.maximum(*sources)
    flat = asked_picture(*sources, asks(dict(detail=1e-6)), whole)
    torch.testing.assert_close(flat, blurred(brightest), atol=1e-5, rtol=0)
    even = torch.full((1, 1, 24, 31), 0.3)
    torch.testing.assert_close(blurred(even), even)


def test_a_region_leaves_the_rest_as_it_is(sources, whole):
    region, brightest = whole.clone(), torch.maximum(*sources)
    region[..., 15:] = 0
    asked = asked_picture(*sources, asks(dict(gain=1.3)), region)
    torch.testing.assert_close(asked[..., :15], 1.3 * brightest[..., :15])
    assert torch.equal(asked[..., 15:], brightest[..., 15:])


def test_without_an_instruction_the_terms_are_those_of_film(sources, whole):
    fused = torch.rand(1, 1, 24, 31)
    asked, released = AskedIntensityLoss()(fused, *sources, asks({}), whole), MaxIntensityLoss()(fused, *sources)
    torch.testing.assert_close(asked, released)
    assert AskedIntensityLoss()(torch.maximum(*sources), *sources, asks({}), whole) < 1e-6
    flat = [torch.full_like(fused, 0.4)] * 2  # the gradient of a maximum is the maximal gradient of flat images
    torch.testing.assert_close(AskedGradientLoss()(fused, *flat, asks({}), whole), MaxGradientLoss()(fused, *flat))


@pytest.mark.parametrize('loss', [AskedIntensityLoss, AskedGradientLoss])
def test_the_asked_picture_costs_nothing_and_a_deaf_one_the_whole_change(sources, whole, loss):
    ask, brightest = asks(dict(gain=1.3)), torch.maximum(*sources)
    asked = asked_picture(*sources, ask, whole, brightest)
    assert loss()(asked, *sources, ask, whole, brightest) < 1e-6 < loss()(brightest, *sources, ask, whole, brightest)
    relative = loss(relative=1e-6)
    assert relative(asked, *sources, ask, whole, brightest) < 1e-3
    assert relative(brightest, *sources, ask, whole, brightest).item() == pytest.approx(1, abs=1e-3)
    small = asks(dict(gain=1.03))
    assert relative(brightest, *sources, small, whole, brightest).item() == pytest.approx(1, abs=1e-2), \
        'a small request counts like a large one'


def test_swapping_asks_for_a_change_in_the_right_direction(sources, whole):
    a, b = (source.expand(2, -1, -1, -1) for source in sources)
    ask, region = asks(dict(gain=1.3), dict(gain=0.7)), whole.expand(2, -1, -1, -1)
    asked = asked_picture(a, b, ask, region)
    loss, given = SwapLoss(), (a, b, ask, region, 2)
    assert loss(asked, *given) == pytest.approx(0, abs=1e-5)
    assert loss(asked[:1].expand(2, -1, -1, -1), *given) == pytest.approx(1), 'nothing changes'
    assert loss(asked.flip(0), *given) == pytest.approx(2, abs=1e-4), 'it changes the wrong way'
    middle = asked.mean(0, keepdim=True)
    assert loss(middle + (asked - middle) / 2, *given) == pytest.approx(0.5, abs=1e-4)
    same = asks(dict(gain=1.3), dict(gain=1.3001))
    assert loss(asked, a, b, same, region, 2) == 0, 'they ask for nearly the same'


def test_swapping_stays_within_a_pair(sources, whole):
    """Two pairs under two instructions each: the second pair is deaf, which is half of the mean."""
    a, b = (source.repeat_interleave(4, 0) for source in sources)
    ask, region = asks(*[dict(gain=1.3), dict(gain=0.7)] * 2), whole.expand(4, -1, -1, -1)
    fused = asked_picture(a, b, ask, region)
    fused[2:] = fused[2]
    assert SwapLoss()(fused, a, b, ask, region, 2) == pytest.approx(0.5)


def test_numbers_are_read_when_they_are_those_of_the_instruction(sources):
    ask = asks(dict(intensity_a=0.8, gain=1.3), dict(colour=0.5))
    units = torch.tensor([0.4, 0.5, 0.8, 0.7])
    numbers = torch.cat((ask[:, :4], ask[:, 4:].log() / units), 1)
    pairs = [source.expand(2, -1, -1, -1) for source in sources]
    directions = 40 * torch.cat((numbers > 0, numbers[:, 4:] < 0), 1).float() - 20
    amounts = numbers.abs()
    assert ReadingLoss()(pairs[0], *pairs, ask, amounts, directions).item() == pytest.approx(0, abs=1e-6)
    amounts[0, 0] += 0.3
    amounts[0, 2] += 9  # not asked for, so it does not count
    assert ReadingLoss()(pairs[0], *pairs, ask, amounts, directions).item() == pytest.approx(0.3 ** 2 / 2)
    assert directions[1].argmax() == 11, 'the colour falls'
    directions[1, 11] = -3.  # that is not heard
    assert ReadingLoss()(pairs[0], *pairs, ask, amounts, directions).item() == pytest.approx(
        (0.3 ** 2 + math.log(1 + math.exp(3)) / 2) / 2, abs=1e-5)


def test_places_are_compared_with_the_region_in_their_own_grid():
    image, region = torch.rand(1, 1, 24, 32), torch.ones(1, 1, 24, 32)
    region[..., 16:] = 0
    left = torch.tensor([[[[9., -9.]]]])
    right, wrong = (RegionLoss()(image, image, image, region, places).item() for places in (left, -left))
    assert right == pytest.approx(0, abs=1e-3) and wrong == pytest.approx(9, abs=1e-3)


@pytest.mark.parametrize('name', ['AskedIntensityLoss', 'AskedGradientLoss', 'SwapLoss', 'ReadingLoss'])
def test_a_sample_without_an_instruction_is_an_error_with_a_way_out(sources, name):
    model = FusionModel(dict(type='Average'), [dict(type=name)])
    with pytest.raises(DataError, match=r"(?s)needs '(read_)?ask' of every pair.*InstructedModel"):
        model.terms(sources[0], *sources)
    assert LOSSES.build(dict(type=name, weight=3)).weight == 3
