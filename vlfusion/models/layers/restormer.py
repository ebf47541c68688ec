"""The Restormer block: attention between channels, then a gated feed-forward network.

Zamir et al., Restormer: Efficient Transformer for High-Resolution Image Restoration, CVPR 2022, sections 3.1 and 3.2.

Feature maps are `(batch, dim, h, w)` tensors in channels_last memory, where a pixel's channels are adjacent. So layer
normalisation runs torch's fused kernel on a view, and a 1x1 convolution is a plain matrix product.

A block is computed in strips of rows (`vlfusion.models.layers.strips`) in two passes. The first computes the sums over
all pixels that the attention needs, the second everything else.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.errors import ConfigError
from vlfusion.models.layers.autocast import without_autocast
from vlfusion.models.layers.pixels import PixelConv, by_pixel
from vlfusion.models.layers.strips import Strip, by_strips, conv_rows, sum_by_strips, without_halo

#: Patterns of our names of a block's parts, and their names in the released Restormer, FILM and CDDFuse, as arguments
#: of `vlfusion.models.released.by_patterns`.
RELEASED_BLOCK_PARTS = (
    (r'attention_norm', r'norm1.body'),
    (r'attention\.temperature', r'attn.temperature'),
    (r'attention\.qkv_depthwise', r'attn.qkv_dwconv'),
    (r'attention\.qkv', r'attn.qkv'),
    (r'attention\.project', r'attn.project_out'),
    (r'feed_forward_norm', r'norm2.body'),
    (r'feed_forward\.expand', r'ffn.project_in'),
    (r'feed_forward\.depthwise', r'ffn.dwconv'),
    (r'feed_forward\.project', r'ffn.project_out'),
)


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each pixel, with scale and shift."""

    def forward(self, x: Float[Tensor, 'batch dim h w']) -> Float[Tensor, 'batch dim h w']:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class TransposedAttention(nn.Module):
    """Multi-Dconv head transposed attention (MDTA): channels attend to channels by the cosine of their pixel vectors.

    Args:
        dim: number of input and output channels.
        heads: number of groups of channels; only channels of one group attend to each other.
    """

    def __init__(self, dim: int, heads: int):
        super().__init__()
        if dim % heads:
            raise ConfigError(f'{dim} channels cannot be divided among {heads} heads.',
                              'Choose `dim` as a multiple of `heads`.')
        self.dim = dim
        self.qkv = PixelConv(dim, 3 * dim, bias=False)
        self.qkv_depthwise = nn.Conv2d(3 * dim, 3 * dim, 3, padding=1, groups=3 * dim, bias=False)
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.project = PixelConv(dim, dim, bias=False)
        head = torch.arange(heads).repeat_interleave(dim // heads)
        self.register_buffer('other_head', head[:, None] != head, persistent=False)

    def products(self, x: Float[Tensor, 'batch dim rows w'], strip: Strip) -> Float[Tensor, 'batch sums dim']:
        """Return the sums over a strip's pixels from which the cosines between queries and keys are computed.

        The first `dim` rows hold the products of queries and keys; two more hold the squares of queries and of keys.
        """
        queries_keys = self._projected(x, strip, slice(2 * self.dim)).permute(0, 2, 3, 1)  # (batch, rows, w, 2 dim)
        with without_autocast(x.device):  # sums over many pixels need float32
            queries_keys = queries_keys.to(torch.promote_types(x.dtype, torch.float32))
            squares = queries_keys.square().sum((1, 2)).unflatten(1, (2, self.dim))
            return torch.cat((self._queries_times_keys(queries_keys), squares), 1)

    def _queries_times_keys(self, queries_keys: Float[Tensor, 'batch rows w both']) -> Float[Tensor, 'batch dim dim']:
        # A GPU gives each product of a batch to one of its processors. So off the CPU each row is a product, if its
        # matrix is small beside the row.
        if queries_keys.device.type == 'cpu' or queries_keys.shape[2] < 2 * self.dim:
            q, k = queries_keys.flatten(1, 2).chunk(2, -1)
            return q.mT @ k
        q, k = queries_keys.flatten(0, 1).chunk(2, -1)
        return torch.bmm(q.mT, k).unflatten(0, queries_keys.shape[:2]).sum(1)

    def mixing(self, products: Float[Tensor, 'batch sums dim']) -> Float[Tensor, 'batch dim dim']:
        """Return the matrix that maps a pixel's values to the output: attention between channels, then projection."""
        products, squares = products.split((self.dim, 2), 1)
        norm_q, norm_k = squares.clamp_min(1e-24).sqrt().split(1, 1)
        cosine = products / norm_q.mT / norm_k  # (batch, dim, dim); each head uses one block on the diagonal
        temperature = self.temperature.repeat_interleave(self.dim // len(self.temperature), 0)[..., 0]
        attention = (cosine * temperature).masked_fill(self.other_head, -torch.inf).softmax(-1)
        # Attention and projection are both linear in the values: one matrix does both.
        return self.project.weight.flatten(1) @ attention.to(self.project.weight)

    def mixed(self, x: Float[Tensor, 'batch dim rows w'], mixing: Float[Tensor, 'batch dim dim'],
              strip: Strip) -> Float[Tensor, 'batch dim fewer w']:
        """Return the attention's output for a strip."""
        values = self._projected(x, strip, slice(2 * self.dim, None))
        return _image(_pixels(values) @ mixing.mT, values)

    def _projected(self, x: Tensor, strip: Strip, channels: slice) -> Tensor:
        weight = self.qkv_depthwise.weight[channels]
        if self.qkv_depthwise.groups == 1:  # in a variant of this block whose convolution mixes all channels
            return conv_rows(self.qkv(x), weight, strip)
        return conv_rows(by_pixel(x, self.qkv.weight[channels]), weight, strip, groups=len(weight))


class GatedFeedForward(nn.Module):
    """Gated-Dconv feed-forward network (GDFN): one half of the expanded channels, through GELU, gates the other.

    Args:
        dim: number of input and output channels.
        expansion: hidden channels of each half, as a multiple of `dim`.
    """

    def __init__(self, dim: int, expansion: float):
        super().__init__()
        hidden = int(dim * expansion)
        self.expand = PixelConv(dim, 2 * hidden, bias=False)
        self.depthwise = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=False)
        self.project = PixelConv(hidden, dim, bias=False)
        self.gated = gated

    def forward(self, x: Float[Tensor, 'batch dim rows w'], strip: Strip) -> Float[Tensor, 'batch dim fewer w']:
        """Return the output for a strip."""
        hidden = conv_rows(self.expand(x), self.depthwise.weight, strip, self.depthwise.groups)
        return self.project(self.gated(hidden))


def gated(hidden: Float[Tensor, 'batch hidden rows w']) -> Float[Tensor, 'batch half rows w']:
    """Gate one half of the channels by the other half through GELU."""
    gate, value = hidden.chunk(2, 1)
    return F.gelu(gate) * value


class RestormerBlock(nn.Module):
    """Attention and feed-forward network, each after a normalisation and with a residual connection.

    Args:
        dim: number of input and output channels.
        heads: number of attention heads; `dim` must be a multiple.
        expansion: hidden channels of the feed-forward network, as a multiple of `dim`.

    >>> RestormerBlock(dim=32)(torch.rand(1, 32, 20, 28)).shape
    torch.Size([1, 32, 20, 28])

    Raises:
        ConfigError: `dim` is not a multiple of `heads`.
    """

    strip_maps = 2

    def __init__(self, dim: int, heads: int = 8, expansion: float = 4):
        super().__init__()
        self.attention_norm = ChannelNorm(dim)
        self.attention = TransposedAttention(dim, heads)
        self.feed_forward_norm = ChannelNorm(dim)
        self.feed_forward = GatedFeedForward(dim, expansion)

    def forward(self, x: Float[Tensor, 'batch dim h w'],
                out: Float[Tensor, 'batch dim h w'] | None = None) -> Float[Tensor, 'batch dim h w']:
        """Return the output in channels_last memory; without gradients it can be written to `out`, which may be `x`."""
        if x.stride(1) != 1:
            x = x.contiguous(memory_format=torch.channels_last)
        mixing = self.attention.mixing(sum_by_strips(self._products, x, halo=1, learned=self.parameters()))
        return by_strips(self._rows, x, mixing, halo=2, learned=self.parameters(), out=out)

    def _products(self, x: Tensor, strip: Strip) -> Tensor:
        return self.attention.products(self.attention_norm(x), strip)

    def _rows(self, x: Tensor, strip: Strip, mixing: Tensor) -> Tensor:
        x = without_halo(x, strip) + self.attention.mixed(self.attention_norm(x), mixing, strip)
        return without_halo(x, strip) + self.feed_forward(self.feed_forward_norm(x), strip)


def _pixels(x: Float[Tensor, 'batch dim h w']) -> Float[Tensor, 'batch pixel dim']:
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def _image(pixels: Float[Tensor, 'batch pixel dim'], like: Float[Tensor, 'batch _ h w']) -> Tensor:
    return pixels.unflatten(1, like.shape[2:]).permute(0, 3, 1, 2)
