"""CBAM: attention to channels, then to pixels (Woo et al., CBAM: Convolutional Block Attention Module, ECCV 2018)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Maps = Float[Tensor, 'batch c h w']


class ChannelAttention(nn.Module):
    """Scale each channel by a weight in (0, 1) from its mean and its maximum.

    Args:
        channels: channels of the maps.
        reduction: two layers compute the weights; there are `channels // reduction` values between them, at least one.
        bias: whether both layers have a bias.
    """

    def __init__(self, channels: int, reduction: int = 16, bias: bool = False):
        super().__init__()
        hidden = max(1, channels // reduction)
        self.weigh = nn.Sequential(nn.Conv2d(channels, hidden, 1, bias=bias), nn.ReLU(),
                                   nn.Conv2d(hidden, channels, 1, bias=bias))

    def forward(self, x: Maps) -> Maps:
        return x * (self.weigh(F.adaptive_avg_pool2d(x, 1)) + self.weigh(F.adaptive_max_pool2d(x, 1))).sigmoid()


class SpatialAttention(nn.Module):
    """Scale each pixel by a weight in (0, 1) from the mean and the maximum of its channels, by a 7x7 convolution."""

    def __init__(self):
        super().__init__()
        self.weigh = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x: Maps) -> Maps:
        return x * self.weigh(torch.cat((x.mean(1, keepdim=True), x.amax(1, keepdim=True)), 1)).sigmoid()


class CBAM(nn.Sequential):
    """Attention to channels, then to pixels. The arguments are those of `ChannelAttention`.

    >>> CBAM(32)(torch.rand(2, 32, 5, 7)).shape
    torch.Size([2, 32, 5, 7])
    """

    def __init__(self, channels: int, reduction: int = 16, bias: bool = False):
        super().__init__(ChannelAttention(channels, reduction, bias), SpatialAttention())
