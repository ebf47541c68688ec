"""Checks of fusion metrics."""

from collections.abc import Callable

import torch
from torch import Tensor

from vlfusion.testing.toy_device import check_on_toy_device, unavailable


def check_metric(metric: Callable[..., Tensor], symmetric: bool = True) -> None:
    """Check that a metric behaves as scoring requires.

    Each variant is a metric of its own: `check_metric(metric('Brightness:half'))`.

    For textured images of an odd size, the metric must return one finite value per image, of the images' type and
    within the stated range. A batch must give the values of its images singly, float32 the values of float64, and a
    device other than the CPU the same values. The images must be unchanged. For difficult images (black, white, half
    flat, two levels, one bright pixel) a value lies within the range or is NaN.

    Args:
        metric: function registered by `fusion_metric`, or returned by `vlfusion.metrics.metric`.
        symmetric: whether exchanging the sources must leave the value unchanged.

    Raises:
        AssertionError: a check failed; the message gives the kind of images and the values.
    """
    name = metric.info.label

    def with_maps(triple: list[Tensor]) -> list[Tensor]:
        return [*triple, *(triple[i % 3].flip(3) for i in range(len(metric.info.maps)))]
    size = max(metric.info.smallest, 47), max(metric.info.smallest, 60) + 1
    images = with_maps(_textured(size))
    before = [image.clone() for image in images]
    values = metric(*images)
    assert values.shape == (3,), f'{name} returns the shape {tuple(values.shape)} for a batch of 3.'
    assert values.isfinite().all(), f'{name} is {values.tolist()} for textured images.'
    assert all(map(torch.equal, images, before)), f'{name} changes its images.'
    single = torch.cat([metric(*(image[i:i + 1] for image in images)) for i in range(3)])
    assert torch.allclose(values, single, rtol=1e-9, atol=1e-12), f'{name}: a batch gives {values}, singles {single}.'
    coarse = metric(*(image.float() for image in images))
    assert coarse.dtype == torch.float32, f'{name} returns {coarse.dtype} for float32.'
    assert torch.allclose(coarse.double(), values, rtol=1e-6, atol=1e-7), \
        f'{name}: {coarse} in float32, {values} in float64.'

    if not unavailable():
        with check_on_toy_device(name) as device:
            elsewhere = metric(*(image.to(device) for image in images)).cpu()
        assert torch.allclose(elsewhere, values, rtol=1e-9, atol=1e-12), \
            f'{name} gives {elsewhere} on another device, {values} on the CPU.'

    low, high = metric.info.range
    slack = 1e-9 * max(1, abs(values).max().item())
    for kind, triple in {'textured': images[:3], **_difficult(images[:3])}.items():
        fused, source_a, source_b, *maps = with_maps(triple)
        values = metric(fused, source_a, source_b, *maps)
        inside = (values >= low - slack) & (values <= high + slack)
        assert (inside | values.isnan()).all(), f'{name} is {values.tolist()} for {kind} images, not in {low}..{high}.'
        swapped = metric(fused, source_b, source_a, *maps)
        assert not symmetric or torch.allclose(values, swapped, rtol=1e-7, atol=1e-9, equal_nan=True), \
            f'{name} for {kind} images: {values.tolist()}, with the sources swapped {swapped.tolist()}.'


def _textured(size: tuple[int, int]) -> list[Tensor]:
    """Fused, source A and source B: noise at two scales, in whole levels."""
    generator = torch.Generator().manual_seed(0)
    coarse = 170 * torch.rand(2, 3, 1, *size, generator=generator, dtype=torch.float64).cumsum(-1).sin()
    source_a, source_b = (coarse + 85 * torch.rand(coarse.shape, generator=generator)).abs().clamp(0, 255).round()
    return [((source_a + 2 * source_b) / 3).round(), source_a, source_b]


def _difficult(images: list[Tensor]) -> dict[str, list[Tensor]]:
    fused, source_a, source_b = images
    black, left = torch.zeros_like(fused), torch.arange(fused.shape[3]) < fused.shape[3] // 2
    dot = black.clone()
    dot[..., 20, 20] = 255
    binary = [(image > 128) * 255. for image in images]
    halves = [torch.where(left, level, image) for level, image in zip((123., 246., 0.), images, strict=True)]
    return {'black': [black] * 3, 'white': [black + 255] * 3, 'differently flat': [black + 123, black + 246, black],
            'half flat': halves, 'two-level': binary, 'saturated': [source_a.clamp(min=200), source_a, 255 - source_a],
            'inverted': [255 - source_a, source_a, 255 - source_a], 'dot': [dot, dot, black],
            'flat fused': [black + 77, source_a, source_b]}
