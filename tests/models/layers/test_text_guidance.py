"""Guidance corrects a fused image as a text says, and begins at zero."""

import pytest
import torch
from torch import nn

from vlfusion.errors import ConfigError
from vlfusion.imaging import asked_picture
from vlfusion.models.layers.text_guidance import SHARES, UNITS, ChannelGuidance, SpatialGuidance

KINDS = [ChannelGuidance, SpatialGuidance]
pytestmark = pytest.mark.parametrize('kind', KINDS)


def build(kind, trained=True, **options):
    """Build a small guidance; a trained one reads numbers that are not zero."""
    torch.manual_seed(0)
    guidance = kind(6, width=8, heads=2, **options)
    if trained:
        nn.init.normal_(guidance.numbers[-1].weight, std=0.1)
        nn.init.ones_(guidance.numbers[-1].bias)
    return guidance


def inputs(batch=1, size=(13, 17), tokens=5):
    random = torch.Generator().manual_seed(1)
    images = torch.rand(3, batch, 1, *size, generator=random) * 0.5 + 0.25
    text = torch.randn(batch, tokens, 6, generator=random)
    return *images, text, torch.ones(batch, tokens, dtype=torch.bool)


def saying(guidance, asked, **numbers):
    """Make every text ask for these numbers, of which `asked` is the logit of their direction."""
    names = ['intensity_a', 'intensity_b', 'gradient_a', 'gradient_b', 'gain', 'contrast', 'detail', 'colour']
    number = torch.tensor([numbers.get(name, 0.) for name in names])
    answers = torch.cat((number > 0, number[SHARES:] < 0)).float()
    with torch.no_grad():
        guidance.numbers[-1].weight.zero_()
        amounts = number.abs().clamp_min(1e-6).expm1().log()  # the inverse of softplus
        guidance.numbers[-1].bias.copy_(torch.cat((amounts, answers * (asked + 9) - 9)))
    return guidance


def test_it_begins_as_if_it_were_not_there(kind):
    given = inputs()
    guidance = build(kind, trained=False)
    assert torch.equal(guidance(*given), given[2])
    torch.testing.assert_close(guidance.colour_strength(*given[3:]), torch.ones(1), rtol=0, atol=0)
    assert not torch.equal(build(kind)(*given), given[2])


def test_a_text_without_a_real_token_changes_nothing(kind):
    given = inputs(batch=2)
    guidance, mask = build(kind), given[-1].clone()
    mask[1] = False
    corrected = guidance(*given[:-1], mask)
    assert not torch.equal(corrected[0], given[2][0]) and torch.equal(corrected[1], given[2][1])
    strength = guidance.colour_strength(given[3], mask)
    assert strength[0] != 1 == strength[1]


def test_padding_has_no_effect(kind):
    *images, text, mask = inputs()
    guidance = build(kind)
    padded = torch.cat((text, torch.full((1, 3, 6), 9.)), 1), torch.arange(8)[None] < 5
    torch.testing.assert_close(guidance(*images, *padded), guidance(*images, text, mask), rtol=0, atol=1e-6)
    torch.testing.assert_close(guidance.colour_strength(*padded), guidance.colour_strength(text, mask))
    unmasked = guidance(*images, padded[0], torch.ones(1, 8, dtype=torch.bool))
    assert (unmasked - guidance(*images, text, mask)).abs().max() > 1e-4, 'without a mask they count'


def test_words_matter_and_the_order_of_their_features_does_not(kind):
    *images, text, mask = inputs()
    guidance = build(kind)
    torch.testing.assert_close(guidance(*images, text.flip(1), mask), guidance(*images, text, mask), rtol=0, atol=1e-6)
    assert (guidance(*images, -text, mask) - guidance(*images, text, mask)).abs().max() > 1e-3


def test_the_image_becomes_what_the_numbers_ask_for(kind):
    a, b, fused, text, mask = inputs()
    guidance = saying(build(kind), 1., intensity_a=0.6, gradient_b=0.3, gain=0.5, contrast=-0.4, detail=0.7)
    nn.init.constant_(guidance.region[-1].bias, 30)  # everywhere
    ask = torch.tensor([[0.6, 0, 0, 0.3, *torch.tensor([0.5, -0.4, 0.7, 0]).mul(torch.tensor(UNITS)).exp()]])
    expected = asked_picture(a, b, ask, torch.ones_like(a), fused)
    assert (expected - fused).abs().mean() > 0.01
    torch.testing.assert_close(guidance(a, b, fused, text, mask), expected)
    amounts, directions = guidance.read(text, mask)
    assert amounts[0].tolist() == pytest.approx([0.6, 0, 0, 0.3, 0.5, 0.4, 0.7, 0], abs=1e-5)
    assert (directions[0] > 0).nonzero().flatten().tolist() == [0, 3, 4, 6, 9], 'the contrast falls'


def test_a_region_that_is_given_counts_instead_of_the_one_that_is_read(kind):
    a, b, fused, text, mask = inputs()
    guidance = saying(build(kind), 1., gain=0.5)
    left = torch.zeros_like(a)
    left[..., :8] = 1
    changed = guidance(a, b, fused, text, mask, left) - fused
    assert (changed[..., :8] > 0.03).all() and not changed[..., 8:].any()


def test_a_number_that_is_not_asked_for_has_no_effect(kind):
    given = inputs()
    quiet = saying(build(kind), -0.1, intensity_a=1., gain=2., colour=1.)
    assert torch.equal(quiet(*given), given[2]) and quiet.colour_strength(*given[3:]).tolist() == [1]
    loud = saying(build(kind), 0.1, intensity_a=1., gain=2., colour=1.)
    assert not torch.equal(loud(*given), given[2]) and loud.colour_strength(*given[3:]).item() == pytest.approx(2.0138,
                                                                                                            abs=1e-3)


def test_levels_stay_in_range_and_learn_beyond_it(kind):
    *images, text, mask = inputs()
    guidance = saying(build(kind), 1., contrast=7.)
    nn.init.constant_(guidance.region[-1].bias, 30)
    corrected = guidance(*images, text, mask)
    assert corrected.min() == 0 and corrected.max() == 1
    [gradient] = torch.autograd.grad(corrected[corrected == 1].sum(), guidance.numbers[-1].bias)
    assert gradient.abs().max() > 0, 'a pixel that is too bright must be able to come back'


def test_a_channel_is_the_same_everywhere_and_a_position_is_not(kind):
    *_, text, mask = inputs()
    flat = torch.full((3, 1, 1, 30, 30), 0.5)
    change = saying(build(kind), 1., gain=1.)(*flat, text, mask) - 0.5
    assert change.abs().max() > 1e-3
    assert (change.std() < 1e-6) == (kind is ChannelGuidance)


@pytest.mark.parametrize('size', [(1, 1), (2, 9), (40, 11), (64, 64)])
def test_images_of_any_size(kind, size):
    given = inputs(size=size)
    assert build(kind)(*given).shape == given[2].shape


def test_every_parameter_learns_from_the_image(kind):
    guidance = build(kind)
    corrected = guidance(*inputs(2))
    gradients = torch.autograd.grad((corrected - 0.3).square().sum(), list(guidance.parameters()), allow_unused=True)
    silent = [name for (name, _), gradient in zip(guidance.named_parameters(), gradients, strict=True)
              if gradient is None or not gradient.any()]
    # The bias of a key adds the same to all scores of a query, which the softmax takes away.
    assert [name for name in silent if not name.endswith('key.bias')] == []


def test_the_colour_strength_learns_from_the_first_step_on(kind):
    guidance, given = build(kind, trained=False), inputs(2)
    optimizer = torch.optim.Adam(guidance.parameters(), lr=0.01)
    for _ in range(80):
        optimizer.zero_grad()
        loss = (guidance.colour_strength(*given[3:]).log() - torch.tensor([2., 0.5]).log()).abs().mean()
        loss.backward()
        nn.utils.clip_grad_norm_(guidance.parameters(), 1)
        optimizer.step()
    torch.testing.assert_close(guidance.colour_strength(*given[3:]), torch.tensor([2., 0.5]), rtol=0.2, atol=0)


def test_heads_divide_the_width(kind):
    with pytest.raises(ConfigError, match='width 16 cannot be divided among 3 heads'):
        kind(6, width=8, heads=3)
