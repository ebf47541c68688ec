"""Text-IF: semantic text guidance for degradation-aware and interactive fusion (Yi et al., CVPR 2024).

Two encoders of Restormer blocks, one per source, work at four scales. At the coarsest scale the sources attend to each
other. A decoder returns to full size and merges the features of both encoders at each scale. One vector of the
instruction scales and shifts the channels at each scale of the decoder (feature-wise linear modulation, Perez et al.,
AAAI 2018).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vlfusion.errors import ConfigError
from vlfusion.models.layers.modulation import FeatureModulation, pooled_text
from vlfusion.models.layers.restormer import RestormerBlock
from vlfusion.models.layers.strips import Strip, conv_rows
from vlfusion.registry import BACKBONES


@BACKBONES.register_module()
class TextIF(nn.Module):
    """Text-IF for luminance: Restormer encoders and a decoder that an instruction modulates.

    Args:
        text_dim: width of the text features; 512 for CLIP ViT-B/32, as in the paper.
        text_scale: factor on the text vector. CLIP's vectors have a norm of about ten, and the paper uses 1. Sentence
            encoders give vectors of norm one, with which the modulation hardly learns: use `text_dim ** 0.5` for them.
        dim: channels at full size; each coarser scale has twice as many.
        blocks: Restormer blocks at each scale, in each encoder and in the decoder.
        refinement: number of blocks after the decoder.
        heads: attention heads of the blocks at each scale.
        expansion: expansion of the feed-forward networks.

    >>> net = TextIF(text_dim=16, dim=8, blocks=(1, 1, 1, 1), refinement=1).eval()
    >>> net(torch.rand(2, 1, 20, 28), torch.rand(2, 1, 20, 28), text=torch.rand(2, 1, 16)).shape
    torch.Size([2, 1, 20, 28])

    Raises:
        ConfigError: `dim` is odd, or `heads` does not divide the channels of a scale.
    """

    def __init__(self, text_dim: int = 512, *, text_scale: float = 1.0, dim: int = 48,
                 blocks: Sequence[int] = (2, 2, 2, 2), refinement: int = 4, heads: Sequence[int] = (1, 2, 4, 8),
                 expansion: float = 2):
        super().__init__()
        if dim % 2:
            raise ConfigError(f'TextIF normalises {8 * dim} channels in 16 groups, but dim={dim} is odd.',
                              'Choose an even dim; the paper uses 48.')
        self.text_dim, self.text_scale = text_dim, text_scale
        widths = [dim, 2 * dim, 4 * dim, 8 * dim]
        self.encoder_a = Encoder(widths, blocks, heads, expansion)
        self.encoder_b = Encoder(widths, blocks, heads, expansion)
        self.cross_attention = CrossAttention(widths[3])
        self.merge = nn.ModuleList(nn.Conv2d(2 * width, width, 1, bias=False) for width in widths)
        self.self_attention = SelfAttention(widths[3])
        self.modulate = nn.ModuleList(FeatureModulation(text_dim, width, hidden=2 * text_dim) for width in widths)

        self.up = nn.ModuleList(Upsample(2 * width) for width in widths[:3])
        self.reduce = nn.ModuleList(nn.Conv2d(2 * width, width, 1, bias=False) for width in widths[1:3])
        inner = [2 * dim, *widths[1:]]  # the finest scale keeps the channels of decoder and encoders concatenated
        self.decoder = nn.ModuleList(stack(width, *rest, expansion)
                                     for width, *rest in zip(inner, blocks, heads, strict=True))
        self.refine = stack(2 * dim, refinement, heads[0], expansion)
        self.output = nn.Conv2d(2 * dim, 1, 3, padding=1, bias=False)

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Float[Tensor, 'batch token dim'] | None = None,
                text_mask: Bool[Tensor, 'batch token'] | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two images of one scene as the instruction says.

        Args:
            source_a: luminance in [0, 1], infrared in the paper. The encoders share no weights.
            source_b: luminance in [0, 1], visible in the paper.
            text: features of the instruction: one pooled vector, or several, which are averaged.
            text_mask: True for a real token, False for padding; None if all tokens are real.

        Returns:
            The fused luminance, in [0, 1] in evaluation mode. In training mode it may leave that range, because a clamp
            would remove the gradient of the worst pixels.

        Raises:
            ConfigError: no text is given, or the width of its features is not `text_dim`.
            DataError: a text of the batch has no real token.
        """
        vector = self.text_scale * pooled_text(self, text, text_mask, self.text_dim)
        size = source_a.shape[-2:]
        padding = (0, -size[1] % 8, 0, -size[0] % 8)
        features = zip(self.encoder_a(F.pad(source_a, padding, mode='replicate')),
                       self.encoder_b(F.pad(source_b, padding, mode='replicate')), strict=True)
        *finer, coarsest = features

        merged = self.merge[3](torch.cat(self.cross_attention(*coarsest), 1))
        x = self.decoder[3](self.modulate[3](self.self_attention(merged), vector))
        for scale in (2, 1, 0):
            x = self.modulate[scale](self.up[scale](x), vector)
            x = torch.cat((x, self.merge[scale](torch.cat(finer[scale], 1))), 1)
            x = self.decoder[scale](self.reduce[scale - 1](x) if scale else x)
        fused = self.output(self.refine(x))[..., :size[0], :size[1]]
        return fused if self.training else fused.clamp(0, 1)


class FeedForward(nn.Module):
    """Feed-forward network of Text-IF: unlike Restormer's, without a gate and with a full 3x3 convolution."""

    def __init__(self, dim: int, expansion: float):
        super().__init__()
        hidden = int(dim * expansion)
        self.layers = nn.Sequential(nn.Conv2d(dim, hidden, 1, bias=False),
                                    nn.Conv2d(hidden, hidden, 3, padding=1, bias=False), nn.GELU(),
                                    nn.Conv2d(hidden, dim, 1, bias=False))

    def forward(self, x: Float[Tensor, 'batch dim rows w'], strip: Strip) -> Float[Tensor, 'batch dim fewer w']:
        """Compute the output for a strip, see `vlfusion.models.layers.strips`."""
        expand, conv, activation, project = self.layers
        return project(activation(conv_rows(expand(x), conv.weight, strip)))


def stack(dim: int, blocks: int, heads: int, expansion: float) -> nn.Sequential:
    """Build Restormer blocks with Text-IF's feed-forward network."""
    layers = [RestormerBlock(dim, heads, expansion) for _ in range(blocks)]
    for layer in layers:
        layer.feed_forward = FeedForward(dim, expansion)
    return nn.Sequential(*layers)


class Encoder(nn.Module):
    """Encoder of one source: features at four scales, the finest first."""

    def __init__(self, widths: Sequence[int], blocks: Sequence[int], heads: Sequence[int], expansion: float):
        super().__init__()
        self.embed = nn.Conv2d(1, widths[0], 3, padding=1, bias=False)
        self.scales = nn.ModuleList(stack(width, *rest, expansion)
                                    for width, *rest in zip(widths, blocks, heads, strict=True))
        self.down = nn.ModuleList(nn.Sequential(nn.Conv2d(width, width // 2, 3, padding=1, bias=False),
                                                nn.PixelUnshuffle(2)) for width in widths[:3])

    def forward(self, x: Float[Tensor, 'batch 1 h w']) -> list[Tensor]:
        features = [self.scales[0](self.embed(x))]
        for down, scale in zip(self.down, self.scales[1:], strict=True):
            features.append(scale(down(features[-1])))
        return features


class Upsample(nn.Sequential):
    """Convolution to twice the size and half the channels."""

    def __init__(self, channels: int):
        super().__init__(nn.Conv2d(channels, 2 * channels, 3, padding=1, bias=False), nn.PixelShuffle(2))


class Attention(nn.Module):
    """Projections of one feature map for attention with one head, each pixel a token."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.GroupNorm(16, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.project = nn.Conv2d(channels, channels, 1)

    def split(self, x: Float[Tensor, 'batch c h w']) -> list[Float[Tensor, 'batch pixel c']]:
        """Return query, key and value of each pixel."""
        return list(self.qkv(x).flatten(2).mT.chunk(3, -1))

    def read(self, query: Tensor, key: Tensor, value: Tensor, like: Tensor) -> Tensor:
        """Return a feature map, in the shape of `like`, of the values that the queries attend to."""
        attended = F.scaled_dot_product_attention(query, key, value)  # (batch, pixel, c)
        return self.project(attended.mT.reshape(like.shape))


class SelfAttention(Attention):
    """Self-attention of the merged features."""

    def forward(self, x: Float[Tensor, 'batch c h w']) -> Float[Tensor, 'batch c h w']:
        return x + self.read(*self.split(self.norm(x)), like=x)


class CrossAttention(nn.Module):
    """Attention of each source's queries to the other source; each adds the result from its own values."""

    def __init__(self, channels: int):
        super().__init__()
        self.a = Attention(channels)
        self.b = Attention(channels)

    def forward(self, a: Float[Tensor, 'batch c h w'], b: Float[Tensor, 'batch c h w']) -> tuple[Tensor, Tensor]:
        a, b = self.a.norm(a), self.b.norm(b)
        (query_a, key_a, value_a), (query_b, key_b, value_b) = self.a.split(a), self.b.split(b)
        return (a + self.a.read(query_b, key_a, value_a, like=a), b + self.b.read(query_a, key_b, value_b, like=b))
