"""The smallest plugin of vlfusion: one fusion network and one loss. Copy the folder and change the names."""

import torch
from torch import nn

from vlfusion.registry import BACKBONES, LOSSES


@BACKBONES.register_module()
class HelloNet(nn.Module):
    """A learned per-pixel weighting: `F = w A + (1 - w) B`, with `w` from three convolutions over both sources."""

    def __init__(self, dim: int = 16):
        super().__init__()
        self.weigh = nn.Sequential(nn.Conv2d(2, dim, 3, padding=1), nn.ReLU(), nn.Conv2d(dim, dim, 3, padding=1),
                                   nn.ReLU(), nn.Conv2d(dim, 1, 3, padding=1), nn.Sigmoid())

    def forward(self, source_a, source_b, text=None, text_mask=None):
        weight = self.weigh(torch.cat([source_a, source_b], dim=1))
        return weight * source_a + (1 - weight) * source_b


@LOSSES.register_module()
class ContrastLoss(nn.Module):
    """Asks the fused image for at least the contrast (standard deviation) of the better source."""

    def __init__(self, weight: float = 1.0):
        super().__init__()
        self.weight = weight

    def forward(self, fused, source_a, source_b):
        best = torch.maximum(source_a.std((1, 2, 3)), source_b.std((1, 2, 3)))
        return (best - fused.std((1, 2, 3))).clamp(min=0).mean()
