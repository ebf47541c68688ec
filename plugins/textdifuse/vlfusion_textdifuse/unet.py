"""The U-Net of guided diffusion (Dhariwal and Nichol, NeurIPS 2021), in two halves that Text-DiFuse runs apart.

The encoder sees a noisy image beside a condition. The decoder sees only the encoder's maps, so maps of two conditions
can be fused in between. Each half embeds the time with its own layers.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn
from torch.nn.functional import interpolate, scaled_dot_product_attention, silu

Maps = Float[Tensor, 'batch _ _ _']  # channels, height and width differ from level to level
Embedding = Float[Tensor, 'time embedding']  # of each image, or one for all


class Encoder(nn.Module):
    """The half that goes down.

    Args:
        dim: channels of the first level.
        widths: factor of the channels at each level; each level has half the height and width of the one before.
        blocks: residual blocks of each level.
        attention: levels with attention after each block.
        heads: heads of the attention.
        groups: groups of a normalisation; must divide the channels of all levels.
    """

    def __init__(self, dim: int, widths: Sequence[int], blocks: int, attention: Sequence[int], heads: int, groups: int):
        super().__init__()
        self.embed = TimeEmbedding(dim)
        self.blocks = nn.ModuleList([Timed(nn.Conv2d(2, dim, 3, padding=1))])
        channels = dim
        for level, width in enumerate(widths):
            if level:
                self.blocks.append(Timed(Downsample(channels)))
            for _ in range(blocks):
                self.blocks.append(Timed(ResBlock(channels, width * dim, 4 * dim, groups)))
                channels = width * dim
                if level in attention:
                    self.blocks[-1].append(SelfAttention(channels, heads, groups))
        self.middle = Timed(ResBlock(channels, channels, 4 * dim, groups), SelfAttention(channels, heads, groups),
                            ResBlock(channels, channels, 4 * dim, groups))

    def forward(self, x: Float[Tensor, 'batch 2 h w'], time: Num[Tensor, ' time']) -> list[Maps]:
        """Return the maps after each block, the finest first, and after the middle."""
        embedding = self.embed(time, x)
        maps = []
        for block in self.blocks:
            x = block(x, embedding)
            maps.append(x)
        return [*maps, self.middle(x, embedding)]


class Decoder(nn.Module):
    """The half that goes up, from all maps of the encoder to two images: the noise, and the variance as a fraction.

    Arguments are those of the encoder.
    """

    def __init__(self, dim: int, widths: Sequence[int], blocks: int, attention: Sequence[int], heads: int, groups: int):
        super().__init__()
        self.embed = TimeEmbedding(dim)
        self.blocks = nn.ModuleList()
        skipped = skip_channels(dim, widths, blocks)
        channels = skipped[-1]
        for level in reversed(range(len(widths))):
            for _ in range(blocks + 1):
                self.blocks.append(Timed(ResBlock(channels + skipped.pop(), widths[level] * dim, 4 * dim, groups)))
                channels = widths[level] * dim
                if level in attention:
                    self.blocks[-1].append(SelfAttention(channels, heads, groups))
            if level:
                self.blocks[-1].append(Upsample(channels))
        self.out = nn.Sequential(nn.GroupNorm(groups, channels), nn.SiLU(),
                                 zeroed(nn.Conv2d(channels, 2, 3, padding=1)))

    def forward(self, maps: Sequence[Maps], time: Num[Tensor, ' time']) -> Float[Tensor, 'batch 2 h w']:
        *skips, x = maps
        embedding = self.embed(time, x)
        for block, skip in zip(self.blocks, reversed(skips), strict=True):
            x = block(torch.cat((x, skip), 1), embedding)
        return self.out(x)


def skip_channels(dim: int, widths: Sequence[int], blocks: int) -> list[int]:
    """Return the channels of the encoder's maps but the last, the finest first.

    >>> skip_channels(128, (1, 1, 2), 2)
    [128, 128, 128, 128, 128, 128, 128, 256, 256]
    """
    down = [dim * width for width in (1, *widths)]
    return [channels for before, after in zip(down, down[1:], strict=False) for channels in [before] + blocks * [after]]


class TimeEmbedding(nn.Sequential):
    """Sines and cosines of the time, and two linear layers."""

    def __init__(self, dim: int):
        super().__init__(nn.Linear(dim, 4 * dim), nn.SiLU(), nn.Linear(4 * dim, 4 * dim))
        self.dim = dim

    def forward(self, time: Num[Tensor, ' time'], like: Tensor) -> Embedding:
        precise = torch.promote_types(like.dtype, torch.float32)  # bfloat16 cannot tell neighbouring times apart
        half = self.dim // 2
        places = torch.arange(half, dtype=precise, device=like.device)
        angles = time.to(places)[:, None] * torch.exp(-math.log(10_000) / half * places)
        return super().forward(torch.cat((angles.cos(), angles.sin()), 1).to(self[0].weight.dtype))


class Timed(nn.Sequential):
    """Layers in sequence, of which the residual blocks also read the embedded time."""

    def forward(self, x: Maps, embedding: Embedding) -> Maps:
        for layer in self:
            x = layer(x, embedding) if isinstance(layer, ResBlock) else layer(x)
        return x


class ResBlock(nn.Module):
    """Two convolutions beside a skip; between them the time scales and shifts the normalised channels."""

    def __init__(self, channels: int, out: int, embedding: int, groups: int):
        super().__init__()
        self.norm_in, self.conv_in = nn.GroupNorm(groups, channels), nn.Conv2d(channels, out, 3, padding=1)
        self.scale_shift = nn.Linear(embedding, 2 * out)
        self.norm_out, self.conv_out = nn.GroupNorm(groups, out), zeroed(nn.Conv2d(out, out, 3, padding=1))
        self.skip = nn.Identity() if channels == out else nn.Conv2d(channels, out, 1)

    def forward(self, x: Maps, embedding: Embedding) -> Maps:
        scale, shift = self.scale_shift(silu(embedding))[..., None, None].chunk(2, 1)
        hidden = self.conv_in(silu(self.norm_in(x)))
        hidden = self.conv_out(silu(self.norm_out(hidden) * (1 + scale) + shift))
        return self.skip(x) + hidden


class SelfAttention(nn.Module):
    """Attention among all pixels, added to its input. Fused kernels need memory for the maps alone, not their square.

    Time grows with the square of the pixels: at an eighth of 640x480 there are 4800.
    """

    def __init__(self, channels: int, heads: int, groups: int):
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv, self.project = nn.Conv1d(channels, 3 * channels, 1), zeroed(nn.Conv1d(channels, channels, 1))

    def forward(self, x: Maps) -> Maps:
        flat = x.flatten(2)
        query, key, value = (part.unflatten(1, (self.heads, -1)).transpose(2, 3)
                             for part in self.qkv(self.norm(flat)).chunk(3, 1))
        attended = scaled_dot_product_attention(query, key, value).transpose(2, 3).flatten(1, 2)
        return x + self.project(attended).view_as(x)


class Downsample(nn.Module):
    """Half the height and width, by a convolution."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Maps) -> Maps:
        return self.conv(x)


class Upsample(nn.Module):
    """Double height and width: the nearest pixel, then a convolution."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Maps) -> Maps:
        return self.conv(interpolate(x, scale_factor=2, mode='nearest'))


def zeroed(layer: nn.Module) -> nn.Module:
    """Set the parameters of a layer to zero: a new residual block begins as its skip."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
