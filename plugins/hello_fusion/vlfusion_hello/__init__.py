"""The smallest fusion method: one network and one loss. Replace them by your own."""

import torch
from torch import nn

from vlfusion.losses import loss
from vlfusion.registry import BACKBONES


@BACKBONES.register_module()
class HelloNet(nn.Module):
    """Learned weights for each pixel: `F = w A + (1 - w) B`, with `w` from three convolutions over both sources.

    Args:
        dim: channels of the features.
    """

    def __init__(self, dim: int = 16):
        super().__init__()
        self.weigh = nn.Sequential(nn.Conv2d(2, dim, 3, padding=1), nn.ReLU(), nn.Conv2d(dim, dim, 3, padding=1),
                                   nn.ReLU(), nn.Conv2d(dim, 1, 3, padding=1), nn.Sigmoid())

    def forward(self, source_a, source_b, text=None, text_mask=None):
        """Fuse luminance `(batch, 1, h, w)` in [0, 1] into luminance of the same shape and range.

        `text` is `(batch, token, dim)` and `text_mask` is `(batch, token)`; both are unused here.
        """
        weight = self.weigh(torch.cat([source_a, source_b], dim=1))
        return weight * source_a + (1 - weight) * source_b


@loss
def ContrastLoss(fused, source_a, source_b):
    """Contrast (standard deviation) that the fused image lacks, compared with the source of higher contrast."""
    best = torch.maximum(_contrast(source_a), _contrast(source_b))
    return (best - _contrast(fused)).clamp(min=0).mean()


def _contrast(image):
    # The small number keeps the gradient of a flat image finite.
    return (image.var((1, 2, 3), correction=0) + 1e-8).sqrt()
