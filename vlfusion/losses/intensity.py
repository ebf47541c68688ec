"""Intensity terms of FILM (Zhao et al., ICML 2024), shared by many methods."""

import torch
from torch.nn.functional import l1_loss

from vlfusion.losses.base import Image, Scalar, loss


@loss
def MaxIntensityLoss(fused: Image, source_a: Image, source_b: Image) -> Scalar:
    """Mean of `|F - max(A, B)|`: each pixel as bright as the brighter source.

    FILM uses it for infrared-visible and multi-focus pairs.
    """
    return l1_loss(fused, torch.maximum(source_a, source_b))


@loss
def MeanIntensityLoss(fused: Image, source_a: Image, source_b: Image) -> Scalar:
    """Mean of `|F - (A + B) / 2|`: each pixel midway between the sources. FILM uses it for exposure pairs."""
    return l1_loss(fused, (source_a + source_b) / 2)
