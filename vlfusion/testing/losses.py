"""Checks of losses."""

import copy
from collections.abc import Mapping
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from vlfusion.models.fusion_model import wanted
from vlfusion.testing.toy_device import check_on_toy_device, unavailable

#: Random images to try: a hinge loss has no gradient for images that already satisfy it.
DRAWS = 4


def check_loss(loss: nn.Module, size: tuple[int, int] = (48, 56), extra: Mapping[str, Any] | None = None) -> None:
    """Check that a loss behaves as training requires.

    For random, equal, black and white images the loss must be one finite number with a finite gradient for the fused
    image, and must leave the images unchanged. For some random images the gradient must not be zero. On a device other
    than the CPU the gradient must be the same. `weight` must be a number.

    Args:
        loss: loss as `LOSSES` builds it.
        size: height and width of the images, for a loss with large windows.
        extra: further arguments of its `forward`, for a batch of two; `truth` is drawn by default.

    Raises:
        AssertionError: a check failed; the message says for which images.
    """
    assert isinstance(getattr(loss, 'weight', None), Real), 'A loss needs a number `weight`, its factor in the total.'
    generator = torch.Generator().manual_seed(0)
    drawn = torch.rand(DRAWS, 4, 2, 1, *size, generator=generator)
    drawn = drawn * torch.linspace(1, 0.2, DRAWS).view(-1, 1, 1, 1, 1, 1)
    source, black, white = drawn[0, 1], torch.zeros_like(drawn[0, 1]), torch.ones_like(drawn[0, 1])
    extra = {'truth': drawn[0, 3], **(extra or {})} if 'truth' in wanted(loss) else dict(extra or {})
    moved = False
    for kind, images in [*(('random', (fused, *sources)) for fused, *sources, _ in drawn), ('equal', (source,) * 3),
                         ('black', (black,) * 3), ('white', (white,) * 3), ('opposite', (black, white, white))]:
        inputs = [image.clone() for image in images]
        inputs[0].requires_grad_()
        value = loss(*inputs, **extra)
        assert value.shape == (), f'For {kind} images the loss has shape {tuple(value.shape)}; expected one number.'
        assert value.isfinite(), f'For {kind} images the loss is {value.item()}.'
        assert all(map(torch.equal, inputs, images)), f'The loss changes its {kind} images.'
        assert value.requires_grad, f'For {kind} images no gradient reaches the fused image.'
        [gradient] = torch.autograd.grad(value, inputs[:1], allow_unused=True)
        assert gradient is not None and gradient.isfinite().all(), f'For {kind} images the gradient is not finite.'
        moved = moved or bool(kind == 'random' and gradient.any())
    assert moved, f'For {DRAWS} random images the gradient is zero.'
    _check_device(loss, list(drawn[0, :3]), extra)


def _check_device(loss: nn.Module, images: list[Tensor], extra: Mapping[str, Any]) -> None:
    if unavailable():
        return
    gradients = []
    with check_on_toy_device('The loss') as device:
        for module, place in ((loss, 'cpu'), (copy.deepcopy(loss).to(device), device)):
            fused, *sources = (image.to(place, copy=True) for image in images)
            more = {key: value.to(place) if isinstance(value, Tensor) else value for key, value in extra.items()}
            module(fused.requires_grad_(), *sources, **more).backward()
            gradients.append(fused.grad.cpu())
    assert torch.allclose(*gradients, rtol=1e-4, atol=1e-6), 'On another device the gradient differs.'
