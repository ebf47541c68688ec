"""Losses that depend on the words: the fused picture must become what its instruction asks for.

A sample carries the numbers behind its instruction (`ask`) and the region that it concerns (`region`), as
`vlfusion.data.instructed.Instructions` gives them. `vlfusion.imaging.asked_picture` turns them into a picture, and the
losses compare the fused one with it.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, binary_cross_entropy_with_logits, l1_loss

from vlfusion.imaging.asked import Asks, asked_picture
from vlfusion.losses.base import Image, Scalar, loss
from vlfusion.losses.gradient import sobel_magnitude
from vlfusion.losses.kernels import derivative_kernels
from vlfusion.models.layers.text_guidance import SHARES, UNITS
from vlfusion.registry import LOSSES


@LOSSES.register_module()
class AskedIntensityLoss(nn.Module):
    """Mean of `|F - T|`, with `T` the picture that the instruction asks for, see `asked_picture`.

    Without a `reference`, an empty instruction asks for the brighter source: then this is FILM's `MaxIntensityLoss`.

    Args:
        weight: factor in the total.
        relative: None for the plain mean. A level in [0, 1], such as 0.02, divides the difference of each picture by
            the asked change plus this level, so that a small request counts like a large one.
    """

    def __init__(self, weight: float = 1.0, relative: float | None = None):
        super().__init__()
        self.weight, self.relative = weight, relative

    def forward(self, fused: Image, source_a: Image, source_b: Image, ask: Asks, region: Image,
                reference: Image | None = None) -> Scalar:
        asked = asked_picture(source_a, source_b, ask, region, reference)
        return _compared(fused, asked, reference, self.relative)


@LOSSES.register_module()
class AskedGradientLoss(nn.Module):
    """Mean of `|G(F) - G(T)|`, with `G` FILM's Sobel magnitude and `T` the asked picture, see `asked_picture`.

    Args:
        weight: factor in the total.
        relative: as for `AskedIntensityLoss`, such as 0.1.
    """

    def __init__(self, weight: float = 1.0, relative: float | None = None):
        super().__init__()
        self.weight, self.relative = weight, relative

    def forward(self, fused: Image, source_a: Image, source_b: Image, ask: Asks, region: Image,
                reference: Image | None = None) -> Scalar:
        asked, kernels = asked_picture(source_a, source_b, ask, region, reference), derivative_kernels(fused)
        return _compared(*(None if image is None else sobel_magnitude(image, kernels)
                           for image in (fused, asked, reference)), self.relative)


def _compared(fused: Image, asked: Image, reference: Image | None, relative: float | None) -> Scalar:
    """Return the mean difference; relative to the asked change if a level is given."""
    if relative is None or reference is None:
        return l1_loss(fused, asked)
    difference, wanted = ((image - asked).abs().mean((1, 2, 3)) for image in (fused, reference))
    return (difference / (wanted + relative)).mean()


@loss
def ReadingLoss(fused: Image, source_a: Image, source_b: Image, read_ask: Float[Tensor, 'read 8'],
                amounts: Float[Tensor, 'read 8'], directions: Float[Tensor, 'read 12']) -> Scalar:
    """Compare what a network reads in an instruction with what the instruction asks for.

    It is the squared difference of the amounts that are asked for, and half the cross-entropy between the read and the
    right answers to whether each number rises, and each factor falls; both are summed over the numbers. Amounts and
    answers are those of `SpatialGuidance.read`. An empty instruction asks for nothing.
    """
    factors = [factor / unit for factor, unit in zip(read_ask[:, SHARES:].log().unbind(1), UNITS, strict=True)]
    right = torch.stack([*read_ask[:, :SHARES].unbind(1), *factors], 1)
    answers = torch.cat((right > 0, right[:, SHARES:] < 0), 1).to(directions)
    known = binary_cross_entropy_with_logits(directions, answers, reduction='none')
    return ((right != 0) * (amounts - right.abs()).square()).sum(1).mean() + known.sum(1).mean() / 2


@loss(weight=0.5)
def RegionLoss(fused: Image, source_a: Image, source_b: Image, read_region: Float[Tensor, 'read 1 h w'],
               places: Float[Tensor, 'read 1 rows columns']) -> Scalar:
    """Cross-entropy between the places that a network reads in an instruction and the region that it concerns."""
    return binary_cross_entropy_with_logits(places, adaptive_avg_pool2d(read_region, places.shape[2:]))


@LOSSES.register_module()
class SwapLoss(nn.Module):
    """Mean of `max(0, 1 - <F - F', T - T'> / |T - T'|^2)`: another instruction changes the picture in the asked way.

    `F'` is the fusion of the same pair under its next instruction, and `T'` what that asks for. The term is 0 if the
    picture moves at least as far as asked. It weighs small requests like large ones, unlike the difference of levels.
    Instructions that ask for nearly the same are left out.

    `vlfusion.models.InstructedModel` gives each pair several instructions, which stand next to each other in the batch.

    Args:
        weight: factor in the total.
        least: root mean square of `T - T'`, in [0, 1], below which two instructions ask for nearly the same.
    """

    def __init__(self, weight: float = 1.0, least: float = 0.004):
        super().__init__()
        self.weight, self.least = weight, least

    def forward(self, fused: Image, source_a: Image, source_b: Image, ask: Asks, region: Image, instructions: int,
                reference: Image | None = None) -> Scalar:
        asked = asked_picture(source_a, source_b, ask, region, reference)
        change, wanted = (image - _next(image, instructions) for image in (fused, asked))
        energy = wanted.square().mean((1, 2, 3))
        progress = (change * wanted).mean((1, 2, 3)) / energy.clamp_min(self.least ** 2)
        differs = energy > self.least ** 2
        return ((1 - progress).relu() * differs).sum() / differs.sum().clamp_min(1)


def _next(images: Image, instructions: int) -> Image:
    """Give each picture that of the same pair under its next instruction."""
    return images.unflatten(0, (-1, instructions)).roll(-1, 1).flatten(0, 1)
