"""The blocks of X-Restormer (Chen et al., A Comparative Study of Image Restoration Networks, ECCV 2024).

A block of Restormer, in which channels attend to channels, is followed by attention of pixels to the pixels around
them. Both kinds of attention end in a gated feed-forward network.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.models.layers.pixels import PixelConv
from vlfusion.models.layers.restormer import ChannelNorm, GatedFeedForward, RestormerBlock, TransposedAttention
from vlfusion.models.layers.strips import Strip, by_strips, sum_by_strips, without_halo

#: Windows whose attention is computed at once.
WINDOWS = 1024


class ChannelAttention(TransposedAttention):
    """The attention of a Restormer block by itself: neither normalised nor added to its input."""

    strip_maps = 2

    def forward(self, x: Float[Tensor, 'batch dim h w']) -> Float[Tensor, 'batch dim h w']:
        mixing = self.mixing(sum_by_strips(self.products, x, halo=1, learned=self.parameters()))
        return by_strips(self._rows, x, mixing, halo=1, learned=self.parameters())

    def _rows(self, x: Tensor, strip: Strip, mixing: Tensor) -> Tensor:
        return self.mixed(x, mixing, strip)


class WindowAttention(nn.Module):
    """Overlapping window attention: the pixels of a window attend to those of a larger window around it.

    Keys and values beyond the image are zero; they take part in the softmax, as released. A vector for each distance in
    rows and one for each distance in columns are added to the keys.

    The logits take `4 heads (window + 2 reach)^2` bytes a pixel in float32, 1.2 kB for two heads. Windows are computed
    in chunks of `WINDOWS`, so without gradients no more than 75 MB at a time.

    Args:
        dim: number of input and output channels.
        heads: attention heads.
        head_dim: channels of a head.
        window: side of a window in pixels; height and width of the input must be multiples.
        reach: rows and columns by which the larger window extends beyond it on each side.
    """

    def __init__(self, dim: int, heads: int, head_dim: int = 16, window: int = 8, reach: int = 2):
        super().__init__()
        self.heads, self.head_dim, self.window, self.reach = heads, head_dim, window, reach
        wide = window + 2 * reach
        self.qkv = PixelConv(dim, 3 * heads * head_dim, bias=False)
        self.project = PixelConv(heads * head_dim, dim, bias=False)
        self.relative_rows = nn.Parameter(torch.randn(2 * wide - 1, head_dim) * head_dim**-0.5)
        self.relative_columns = nn.Parameter(torch.randn(2 * wide - 1, head_dim) * head_dim**-0.5)
        distance = torch.arange(wide)[None] - torch.arange(window)[:, None] + wide - 1
        self.register_buffer('distance', distance, persistent=False)

    def forward(self, x: Float[Tensor, 'batch dim h w']) -> Float[Tensor, 'batch dim h w']:
        query, keys_values = self.qkv(x).split((self.heads * self.head_dim, 2 * self.heads * self.head_dim), 1)
        query, keys_values = query * self.head_dim**-0.5, F.pad(keys_values, (self.reach,) * 4)
        batch, _, height, width = x.shape
        rows = max(1, WINDOWS * self.window // (batch * width)) * self.window
        attended = [self._attend(query[:, :, top:top + rows], keys_values[:, :, top:top + rows + 2 * self.reach])
                    for top in range(0, height, rows)]
        return self.project(torch.cat(attended, 2))

    def _attend(self, query: Float[Tensor, 'batch inner rows w'],
                keys_values: Float[Tensor, 'batch both more wider']) -> Float[Tensor, 'batch inner rows w']:
        side, wide = self.window, self.window + 2 * self.reach
        query = query.unflatten(3, (-1, side)).unflatten(2, (-1, side)).unflatten(1, (self.heads, -1))
        query = query.permute(0, 3, 5, 1, 4, 6, 2)  # (batch, down, across, head, y, x, channel)
        around = keys_values.unfold(2, wide, side).unfold(3, wide, side).unflatten(1, (2 * self.heads, -1))
        around = around.permute(0, 3, 4, 1, 5, 6, 2).flatten(4, 5)  # (batch, down, across, 2 head, pixel, channel)
        key, value = around.chunk(2, 3)
        by_row = torch.einsum('...yxd,yvd->...yxv', query, self.relative_rows[self.distance].to(query))
        by_column = torch.einsum('...yxd,xud->...yxu', query, self.relative_columns[self.distance].to(query))
        position = (by_row[..., None] + by_column[..., None, :]).flatten(-2).flatten(-3, -2)
        read = F.scaled_dot_product_attention(query.flatten(4, 5), key, value, attn_mask=position, scale=1.)
        read = read.unflatten(4, (side, side)).permute(0, 3, 6, 1, 4, 2, 5)
        return read.flatten(5, 6).flatten(3, 4).flatten(1, 2)


class XRestormerBlock(nn.Module):
    """Attention of channels, then of windows. Each is normalised, added, and followed by a feed-forward network.

    Args:
        dim: number of input and output channels.
        heads: heads of the channels' attention; must divide `dim`.
        window_heads: heads of the windows' attention.
        expansion: hidden channels of the feed-forward networks, as a multiple of `dim`.

    >>> XRestormerBlock(16, heads=2, window_heads=2, expansion=2)(torch.rand(1, 16, 8, 24)).shape
    torch.Size([1, 16, 8, 24])
    """

    strip_maps = 1

    def __init__(self, dim: int, heads: int, window_heads: int, expansion: float):
        super().__init__()
        self.channel = RestormerBlock(dim, heads, expansion)
        self.window_norm = ChannelNorm(dim)
        self.window_attention = WindowAttention(dim, window_heads)
        self.feed_forward_norm = ChannelNorm(dim)
        self.feed_forward = GatedFeedForward(dim, expansion)

    def forward(self, x: Float[Tensor, 'batch dim h w']) -> Float[Tensor, 'batch dim h w']:
        x = self.channel(x)
        x = x + self.window_attention(self.window_norm(x))
        learned = [*self.feed_forward_norm.parameters(), *self.feed_forward.parameters()]
        return by_strips(self._feed_forward, x, halo=1, learned=learned)

    def _feed_forward(self, x: Tensor, strip: Strip) -> Tensor:
        return without_halo(x, strip) + self.feed_forward(self.feed_forward_norm(x), strip)


class AttentiveMerge(nn.Module):
    """Merge two maps of one width: attention of channels plus that of windows, on both together, then a convolution.

    The authors call it the fusion type `spatial_attention`.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.channel_attention = ChannelAttention(2 * dim, heads=8)
        self.window_attention = WindowAttention(2 * dim, heads=4, head_dim=32)
        self.conv = nn.Conv2d(2 * dim, dim, 3, padding=1)

    def forward(self, a: Float[Tensor, 'batch dim h w'],
                b: Float[Tensor, 'batch dim h w']) -> Float[Tensor, 'batch dim h w']:
        both = torch.cat((a, b), 1)
        return self.conv(self.channel_attention(both) + self.window_attention(both))


class Exchange(nn.Module):
    """Exchange between two maps: each joins its own window attention with the channel attention of the other.

    The authors call it the cross attention `SSA`.
    """

    def __init__(self, dim: int, window_heads: int):
        super().__init__()
        self.window_a, self.window_b = WindowAttention(dim, window_heads), WindowAttention(dim, window_heads)
        self.channel_a, self.channel_b = ChannelAttention(dim, heads=8), ChannelAttention(dim, heads=8)
        self.merge_a, self.merge_b = (nn.Conv2d(2 * dim, dim, 1, bias=False) for _ in range(2))

    def forward(self, a: Float[Tensor, 'batch dim h w'],
                b: Float[Tensor, 'batch dim h w']) -> tuple[Tensor, Tensor]:
        return (self.merge_a(torch.cat((self.window_a(a), self.channel_b(b)), 1)),
                self.merge_b(torch.cat((self.window_b(b), self.channel_a(a)), 1)))
