"""Attention with one head between the pixels of feature maps, as in Text-IF (Yi et al., CVPR 2024).

For `n` pixels and `c` channels one attention takes `2 n^2 c` multiplications. torch's kernels compute it in blocks, so
memory grows with `n` and not with `n^2`.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class PixelAttention(nn.Module):
    """Projections of one feature map for attention with one head, each pixel a token.

    Args:
        channels: channels of the map, a multiple of 16: they are normalised in 16 groups.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.GroupNorm(16, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.project = nn.Conv2d(channels, channels, 1)

    def split(self, x: Float[Tensor, 'batch c h w']) -> list[Float[Tensor, 'batch 1 pixel c']]:
        """Return query, key and value of each pixel, with an axis for the one head."""
        # torch computes attention in blocks only for four axes, the last one contiguous.
        return [part.flatten(2).mT[:, None].contiguous() for part in self.qkv(x).chunk(3, 1)]

    def read(self, query: Tensor, key: Tensor, value: Tensor, like: Tensor) -> Tensor:
        """Return a feature map, in the shape of `like`, of the values that the queries attend to."""
        attended = F.scaled_dot_product_attention(query, key, value)  # (batch, 1, pixel, c)
        return self.project(attended.mT.reshape(like.shape))


class SelfAttention(PixelAttention):
    """Attention of a feature map to itself; the result is added to the map."""

    def forward(self, x: Float[Tensor, 'batch c h w']) -> Float[Tensor, 'batch c h w']:
        return x + self.read(*self.split(self.norm(x)), like=x)


class CrossAttention(nn.Module):
    """Attention of each source's queries to the other source; each adds the result from its own values.

    Args:
        channels: channels of both maps.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.a = PixelAttention(channels)
        self.b = PixelAttention(channels)

    def forward(self, a: Float[Tensor, 'batch c h w'], b: Float[Tensor, 'batch c h w']) -> tuple[Tensor, Tensor]:
        a, b = self.a.norm(a), self.b.norm(b)
        (query_a, key_a, value_a), (query_b, key_b, value_b) = self.a.split(a), self.b.split(b)
        return (a + self.a.read(query_b, key_a, value_a, like=a), b + self.b.read(query_a, key_b, value_b, like=b))
