"""Guidance in which a token of the image is a channel or a position, so that a text can choose between them.

Two alternatives to the gate of the released FILM, which repeats itself along the pixels and can choose neither. In both
the tokens of the image ask and those of the text answer, padding is masked, and the gate lies in (0, 2): where the
answer is 0 it is 1 and leaves the features as they are, and nothing shrinks with the width of the attention.
"""

from math import isqrt

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.errors import ConfigError


class ChannelGuidance(nn.Module):
    """Each channel multiplied by what the text says of it.

    A token of the image is a channel: its means over a square of `attention_dim` cells.

    Args:
        dim: channels of the features.
        heads: of the attention.
        attention_dim: width of the text features and of the attention; a square number.

    Raises:
        ConfigError: `attention_dim` is no square number.
    """

    def __init__(self, dim: int, heads: int, attention_dim: int):
        super().__init__()
        side = isqrt(attention_dim)
        if side * side != attention_dim:
            raise ConfigError(f'attention_dim={attention_dim} is no square number, and a channel is described by its '
                              'means over a square of cells.', 'Choose 64, 144 or 256.')
        self.embed = nn.Conv2d(dim, dim, 1)
        self.pool = nn.AdaptiveAvgPool2d(side)
        self.attention = nn.MultiheadAttention(attention_dim, heads, batch_first=True)
        self.gate = nn.Linear(attention_dim, 1)
        self.project = nn.Sequential(nn.Conv2d(dim, dim, 1), nn.PReLU())

    def forward(self, feature: Float[Tensor, 'batch dim h w'], text: Float[Tensor, 'batch token width'],
                text_weight: Float[Tensor, 'batch token']) -> Float[Tensor, 'batch dim h w']:
        """The guided features; `text_weight` is 0 where a token is padding."""
        embedded = self.embed(feature)
        channels = self.pool(embedded).flatten(2)  # (batch, dim, attention_dim)
        answer = _read(self.attention, channels, text, text_weight)
        gate = 2 * torch.sigmoid(self.gate(answer))  # (batch, dim, 1)
        return self.project(embedded * gate[..., None])


class SpatialGuidance(nn.Module):
    """Each position multiplied, channel by channel, by what the text says of it.

    A token of the image is a cell of a grid, with its mean features; between the cells the gate is interpolated.

    Args:
        dim: channels of the features, and width of the attention.
        heads: of the attention.
        attention_dim: width of the text features.
        grid: rows and columns of cells, whatever the size of the images; an image of fewer pixels has fewer.
    """

    def __init__(self, dim: int, heads: int, attention_dim: int, grid: tuple[int, int] = (36, 48)):
        super().__init__()
        self.grid = grid
        self.embed = nn.Conv2d(dim, dim, 1)
        self.attention = nn.MultiheadAttention(dim, heads, kdim=attention_dim, vdim=attention_dim, batch_first=True)
        self.project = nn.Sequential(nn.Conv2d(dim, dim, 1), nn.PReLU())

    def forward(self, feature: Float[Tensor, 'batch dim h w'], text: Float[Tensor, 'batch token width'],
                text_weight: Float[Tensor, 'batch token']) -> Float[Tensor, 'batch dim h w']:
        """The guided features; `text_weight` is 0 where a token is padding."""
        embedded = self.embed(feature)
        size = embedded.shape[-2:]
        grid = min(self.grid[0], size[0]), min(self.grid[1], size[1])
        cells = F.adaptive_avg_pool2d(embedded, grid).flatten(2).mT  # (batch, cell, dim)
        answer = _read(self.attention, cells, text, text_weight)
        gate = 2 * torch.sigmoid(answer.mT.unflatten(2, grid))
        return self.project(embedded * F.interpolate(gate, size, mode='bilinear', align_corners=False))


def _read(attention: nn.MultiheadAttention, tokens: Tensor, text: Tensor, text_weight: Tensor) -> Tensor:
    """Features that each token of the image reads in the text, whose padding has no weight."""
    return attention(tokens, text, text, key_padding_mask=text_weight == 0, need_weights=False)[0]
