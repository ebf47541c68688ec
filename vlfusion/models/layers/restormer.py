"""The Restormer block: attention between channels, then a gated feed-forward network.

Zamir et al., Restormer: Efficient Transformer for High-Resolution Image Restoration, CVPR 2022, sections 3.1 and 3.2.
Feature maps are `(batch, dim, h, w)` tensors in channels_last memory, where a pixel's channels lie side by side: layer
normalisation over them is then torch's fused kernel on a view, and a 1x1 convolution is a plain matrix product.
"""

from functools import partial

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vlfusion.errors import ConfigError

#: Patterns of our names of the parts of a block and what the released Restormer, FILM and CDDFuse have in their place,
#: as `vlfusion.models.released.by_patterns` takes them.
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

#: How many pixels of a feature map the feed-forward network expands at a time: what stays in a processor's cache.
BAND = 12_288


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each pixel, with scale and shift."""

    def forward(self, x: Float[Tensor, 'batch dim h w']) -> Float[Tensor, 'batch dim h w']:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class TransposedAttention(nn.Module):
    """Multi-Dconv head transposed attention (MDTA): channels attend to channels, by the cosine of their pixel vectors.

    Args:
        dim: channels in and out.
        heads: groups of channels; only channels of one group attend to each other.
    """

    def __init__(self, dim: int, heads: int):
        super().__init__()
        if dim % heads:
            raise ConfigError(f'{dim} channels cannot be shared out among {heads} heads.',
                              'Choose `dim` as a multiple of `heads`.')
        self.dim = dim
        self.qkv = nn.Conv2d(dim, 3 * dim, 1, bias=False)
        self.qkv_depthwise = nn.Conv2d(3 * dim, 3 * dim, 3, padding=1, groups=3 * dim, bias=False)
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.project = nn.Conv2d(dim, dim, 1, bias=False)
        head = torch.arange(heads).repeat_interleave(dim // heads)
        self.register_buffer('other_head', head[:, None] != head, persistent=False)

    def forward(self, x: Float[Tensor, 'batch dim h w']) -> Float[Tensor, 'batch dim h w']:
        h, w = x.shape[-2:]
        pixels = rearrange(self.qkv_depthwise(self.qkv(x)), 'b c h w -> b (h w) c')
        q, k, v = pixels.chunk(3, -1)
        # Normalised before the product, whose sums over all pixels could overflow in half precision.
        cosine = F.normalize(q, dim=1).mT @ F.normalize(k, dim=1)  # (batch, dim, dim), of which heads use blocks

        temperature = self.temperature.repeat_interleave(self.dim // len(self.temperature), 0)[..., 0]
        attention = (cosine * temperature).masked_fill(self.other_head, -torch.inf).softmax(-1)
        # attention @ v and the projection are both linear in v: one matrix (batch, dim, dim) does both.
        mix = self.project.weight.flatten(1) @ attention
        return rearrange(v @ mix.mT, 'b (h w) c -> b c h w', h=h)


class GatedFeedForward(nn.Module):
    """Gated-Dconv feed-forward network (GDFN): one half of the expanded channels, through GELU, gates the other.

    The expanded channels are `2 * expansion` times the input. They are computed in bands of rows, and in training once
    more in the backward pass, so that they never leave the cache: several times less memory, and faster for it.

    Args:
        dim: channels in and out.
        expansion: hidden channels of each half, as a multiple of `dim`.
    """

    def __init__(self, dim: int, expansion: float):
        super().__init__()
        hidden = int(dim * expansion)
        self.expand = nn.Conv2d(dim, 2 * hidden, 1, bias=False)
        # Its padding of rows is done below, before `expand`, which has no bias and so keeps zeros zero.
        self.depthwise = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=(0, 1), groups=2 * hidden, bias=False)
        self.project = nn.Conv2d(hidden, dim, 1, bias=False)

    def forward(self, x: Float[Tensor, 'batch dim h w']) -> Float[Tensor, 'batch dim h w']:
        h, w = x.shape[-2:]
        rows = max(1, BAND // w)
        padded = F.pad(x, (0, 0, 1, 1))
        bands = [padded[:, :, top:top + rows + 2] for top in range(0, h, rows)]
        run = self._band
        if torch.is_grad_enabled():
            run = partial(checkpoint, self._band, use_reentrant=False, preserve_rng_state=False)
        return torch.cat([run(band) for band in bands], 2)

    def _band(self, x: Tensor) -> Tensor:
        """The rows of the result that lie one row inside those of x."""
        gate, value = self.depthwise(self.expand(x)).chunk(2, 1)
        return self.project(F.gelu(gate) * value)


class RestormerBlock(nn.Module):
    """Attention and feed-forward network, each after a normalisation and with a residual connection.

    Args:
        dim: channels in and out.
        heads: attention heads; `dim` must be a multiple.
        expansion: of the feed-forward network.

    >>> RestormerBlock(dim=32)(torch.rand(1, 32, 20, 28)).shape
    torch.Size([1, 32, 20, 28])

    Raises:
        ConfigError: `dim` is not a multiple of `heads`.
    """

    def __init__(self, dim: int, heads: int = 8, expansion: float = 4):
        super().__init__()
        self.attention_norm = ChannelNorm(dim)
        self.attention = TransposedAttention(dim, heads)
        self.feed_forward_norm = ChannelNorm(dim)
        self.feed_forward = GatedFeedForward(dim, expansion)

    def forward(self, x: Float[Tensor, 'batch dim h w']) -> Float[Tensor, 'batch dim h w']:
        x = x.contiguous(memory_format=torch.channels_last)
        x = x + self.attention(self.attention_norm(x))
        return x + self.feed_forward(self.feed_forward_norm(x))
