"""Intensity terms of FILM (Zhao et al., ICML 2024) and of the many methods that share them."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from vlfusion.registry import LOSSES


@LOSSES.register_module()
class MaxIntensityLoss(nn.Module):
    """Mean of `|F - max(A, B)|`: each pixel as bright as the brighter source. FILM's for infrared and focus pairs.

    Args:
        weight: factor in the total.
    """

    def __init__(self, weight: float = 1.0):
        super().__init__()
        self.weight = weight

    def forward(self, fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
                source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, '']:
        return l1_loss(fused, torch.maximum(source_a, source_b))


@LOSSES.register_module()
class MeanIntensityLoss(nn.Module):
    """Mean of `|F - (A + B) / 2|`: each pixel between the sources. FILM's for exposure pairs.

    Args:
        weight: factor in the total.
    """

    def __init__(self, weight: float = 1.0):
        super().__init__()
        self.weight = weight

    def forward(self, fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
                source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, '']:
        return l1_loss(fused, (source_a + source_b) / 2)
