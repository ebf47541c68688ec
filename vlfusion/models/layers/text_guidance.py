"""Text guidance in which an image token is a channel or a position, so that the text can select among them.

Both are alternatives to the gate of the released FILM, which repeats along the pixels and can select neither. The image
tokens query the text tokens, and padding is masked. The gate lies in (0, 2). At an attention output of 0 it is 1 and
leaves the features unchanged, and features do not shrink with the width of the attention.
"""

from math import isqrt

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.errors import ConfigError


class ChannelGuidance(nn.Module):
    """Multiply each channel by a gate that depends on the text.

    An image token is a channel, described by its means over a square grid of `attention_dim` cells.

    Args:
        dim: channels of the features.
        heads: number of attention heads.
        attention_dim: width of the text features and of the attention; a square number.

    Raises:
        ConfigError: `attention_dim` is not a square number.
    """

    def __init__(self, dim: int, heads: int, attention_dim: int):
        super().__init__()
        side = isqrt(attention_dim)
        if side * side != attention_dim:
            raise ConfigError(f'attention_dim={attention_dim} is not a square number, but a channel is described by '
                              'its means over a square grid of cells.', 'Choose for example 64, 144 or 256.')
        self.embed = nn.Conv2d(dim, dim, 1)
        self.pool = nn.AdaptiveAvgPool2d(side)
        self.attention = nn.MultiheadAttention(attention_dim, heads, batch_first=True)
        self.gate = nn.Linear(attention_dim, 1)
        self.project = nn.Sequential(nn.Conv2d(dim, dim, 1), nn.PReLU())

    def forward(self, feature: Float[Tensor, 'batch dim h w'], text: Float[Tensor, 'batch token width'],
                text_weight: Float[Tensor, 'batch token']) -> Float[Tensor, 'batch dim h w']:
        """Return the guided features. `text_weight` is 0 for padding tokens."""
        embedded = self.embed(feature)
        channels = self.pool(embedded).flatten(2)  # (batch, dim, attention_dim)
        answer = _read(self.attention, channels, text, text_weight)
        gate = 2 * torch.sigmoid(self.gate(answer))  # (batch, dim, 1)
        return self.project(embedded * gate[..., None])


class SpatialGuidance(nn.Module):
    """Multiply each position and channel by a gate that depends on the text.

    An image token is a cell of a grid, described by its mean features. The gate is interpolated between cells.

    Args:
        dim: channels of the features, and width of the attention.
        heads: number of attention heads.
        attention_dim: width of the text features.
        grid: rows and columns of cells for images of any size; never more than the image has pixels.
    """

    def __init__(self, dim: int, heads: int, attention_dim: int, grid: tuple[int, int] = (36, 48)):
        super().__init__()
        self.grid = grid
        self.embed = nn.Conv2d(dim, dim, 1)
        self.attention = nn.MultiheadAttention(dim, heads, kdim=attention_dim, vdim=attention_dim, batch_first=True)
        self.project = nn.Sequential(nn.Conv2d(dim, dim, 1), nn.PReLU())

    def forward(self, feature: Float[Tensor, 'batch dim h w'], text: Float[Tensor, 'batch token width'],
                text_weight: Float[Tensor, 'batch token']) -> Float[Tensor, 'batch dim h w']:
        """Return the guided features. `text_weight` is 0 for padding tokens."""
        embedded = self.embed(feature)
        size = embedded.shape[-2:]
        grid = min(self.grid[0], size[0]), min(self.grid[1], size[1])
        cells = F.adaptive_avg_pool2d(embedded, grid).flatten(2).mT  # (batch, cell, dim)
        answer = _read(self.attention, cells, text, text_weight)
        gate = 2 * torch.sigmoid(answer.mT.unflatten(2, grid))
        return self.project(embedded * F.interpolate(gate, size, mode='bilinear', align_corners=False))


def _read(attention: nn.MultiheadAttention, tokens: Tensor, text: Tensor, text_weight: Tensor) -> Tensor:
    """Return the text features that each image token attends to. Padding is masked."""
    return attention(tokens, text, text, key_padding_mask=text_weight == 0, need_weights=False)[0]
