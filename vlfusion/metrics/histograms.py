"""Histograms of grey levels, and entropies for the metrics of information theory."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vlfusion.metrics.sharing import shared

LEVELS = 256


@shared
def levels(image: Float[Tensor, 'batch 1 h w']) -> Int[Tensor, 'batch pixel']:
    """Grey levels, rounded to whole numbers."""
    return image.round().long().flatten(1)


@shared
def histogram(image: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, 'batch 256']:
    """Share of the pixels that have each grey level."""
    return _shares(levels(image), LEVELS)


@shared
def joint_histogram(first: Float[Tensor, 'batch 1 h w'],
                    second: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, 'batch 256 256']:
    """Share of the pixels that have each pair of grey levels: the first image's in rows, the second's in columns."""
    return _shares(LEVELS * levels(first) + levels(second), LEVELS ** 2).unflatten(1, (LEVELS, LEVELS))


@shared
def entropy(image: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, ' batch']:
    """`H = -sum_l p_l log2 p_l`, in bit."""
    return bits(histogram(image))


@shared
def mutual_information(first: Float[Tensor, 'batch 1 h w'],
                       second: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, ' batch']:
    """`I(X, Y) = H(X) + H(Y) - H(X, Y)`, in bit; clipped at 0, because rounding may give less."""
    information = entropy(first) + entropy(second) - bits(joint_histogram(first, second).flatten(1))
    return information.clamp(min=0)


def bits(shares: Float[Tensor, 'batch bin']) -> Float[Tensor, ' batch']:
    """Entropy of a distribution, in bit."""
    return torch.special.entr(shares).sum(1) / math.log(2)


def stretched(image: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, 'batch 1 h w']:
    """Stretch each image: its darkest level becomes 0 and its brightest 255, in whole levels. Z. Liu's `normalize1`.

    A constant image becomes NaN in that code; here it is not changed.
    """
    low, high = image.amin((1, 2, 3), keepdim=True), image.amax((1, 2, 3), keepdim=True)
    share = (image - low) / torch.where(high > low, high - low, 1)
    return torch.where(high > low, (share * 255 + 0.5).floor(), image)  # MATLAB rounds halves up


def _shares(bins: Int[Tensor, 'batch pixel'], count: int) -> Float[Tensor, 'batch bin']:
    image = torch.arange(len(bins), device=bins.device)[:, None]
    counts = torch.bincount((count * image + bins).flatten(), minlength=count * len(bins))
    return counts.view(-1, count).double() / bins.shape[1]
