"""The network of CDDFuse (Zhao et al., CVPR 2023, Fig. 2).

One encoder, shared by both sources, splits each image into base and detail features. Base features hold what both
sources show: low frequencies, by attention. Detail features hold what only one source shows: high frequencies, by
invertible layers. Each kind is summed over the sources and passes a fusion layer; one decoder makes the image.
This independent implementation computes what the released network computes.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.errors import CheckpointError, ConfigError, did_you_mean
from vlfusion.models.layers.restormer import RELEASED_BLOCK_PARTS, RestormerBlock
from vlfusion.models.layers.strips import count_maps
from vlfusion.models.released import convert
from vlfusion.registry import BACKBONES

Features = Float[Tensor, 'batch dim h w']

RESIDUALS = ('visible', 'sum', 'none')


@BACKBONES.register_module()
class CDDFuse(nn.Module):
    """CDDFuse: a shared encoder splits sources into base and detail features, which are fused and decoded.

    Source A is infrared and source B visible. Only the residual `visible` treats them differently.

    Args:
        residual: image that the decoder adds to its output before the sigmoid. `visible` is source B: the authors train
            and test on infrared and visible images with it. `sum` is A + B: they apply those weights to medical images
            with it. `none` adds nothing: they test their medical weights with it.
        dim: channels of the features.
        heads: attention heads; must divide `dim`.
        blocks: number of Restormer blocks in the encoder, and in the decoder.

    >>> CDDFuse()(torch.rand(2, 1, 20, 28), torch.rand(2, 1, 20, 28)).shape
    torch.Size([2, 1, 20, 28])

    Raises:
        ConfigError: the residual is unknown, or `heads` does not divide `dim`.
    """

    def __init__(self, residual: str = 'visible', *, dim: int = 64, heads: int = 8, blocks: int = 4):
        super().__init__()
        if residual not in RESIDUALS:
            raise ConfigError(f'Unknown residual {residual!r}.', did_you_mean(residual, RESIDUALS))
        self.residual = residual
        self.encoder = Encoder(dim, heads, blocks)
        self.decoder = Decoder(dim, heads, blocks)
        self.base_fusion = BaseBlock(dim, heads)
        self.detail_fusion = InvertibleLayers(dim, 1)
        self.strip_maps = count_maps(self.encoder)  # the encoder runs twice

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Tensor | None = None, text_mask: Tensor | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two luminance images in [0, 1] into one in [0, 1]; text is not read."""
        return self.fuse(source_a, source_b, self.encoder(source_a), self.encoder(source_b))

    def fuse(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
             features_a: tuple[Features, Features], features_b: tuple[Features, Features]
             ) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two images, given their encoded features."""
        (base_a, detail_a), (base_b, detail_b) = features_a, features_b
        residual = {'visible': source_b, 'sum': source_a + source_b, 'none': None}[self.residual]
        return self.decoder(self.base_fusion(base_a + base_b), self.detail_fusion(detail_a + detail_b), residual)

    def reconstruct(self, image: Float[Tensor, 'batch 1 h w'],
                    features: tuple[Features, Features]) -> Float[Tensor, 'batch 1 h w']:
        """Decode an image from its own features; the image itself is added unless the residual is `none`."""
        return self.decoder(*features, None if self.residual == 'none' else image)

    @staticmethod
    def convert_released(*states: dict) -> dict[str, Tensor]:
        """Rename the released weights to the names of this network.

        Args:
            states: contents of the one released file: a state for each of its four modules. A prefix `module.` is
                dropped.

        Raises:
            CheckpointError: more or fewer files are given, or names are missing or unknown.
        """
        if len(states) != 1:
            raise CheckpointError(f'CDDFuse was released in one file, but got {len(states)}.', _REMEDY)
        released = {f'{module}.{name.removeprefix("module.")}': value
                    for module, part in states[0].items() if isinstance(part, dict) for name, value in part.items()}
        return convert(CDDFuse, released, _RELEASED_PARTS, remedy=_REMEDY)


class Encoder(nn.Module):
    """Encoder: Restormer blocks extract features and split them into base and detail features."""

    def __init__(self, dim: int, heads: int, blocks: int):
        super().__init__()
        self.embed = nn.Conv2d(1, dim, 3, padding=1, bias=False)
        self.shared = nn.Sequential(*(RestormerBlock(dim, heads, expansion=2) for _ in range(blocks)))
        self.base = BaseBlock(dim, heads)
        self.detail = InvertibleLayers(dim, 3)

    def forward(self, image: Float[Tensor, 'batch 1 h w']) -> tuple[Features, Features]:
        shared = self.shared(self.embed(image))
        return self.base(shared), self.detail(shared)


class Decoder(nn.Module):
    """Decoder: an image in [0, 1] from base and detail features, with an optional residual inside the sigmoid."""

    def __init__(self, dim: int, heads: int, blocks: int):
        super().__init__()
        self.merge = nn.Conv2d(2 * dim, dim, 1, bias=False)
        self.blocks = nn.Sequential(*(RestormerBlock(dim, heads, expansion=2) for _ in range(blocks)))
        self.output = nn.Sequential(nn.Conv2d(dim, dim // 2, 3, padding=1, bias=False), nn.LeakyReLU(),
                                    nn.Conv2d(dim // 2, 1, 3, padding=1, bias=False))

    def forward(self, base: Features, detail: Features,
                residual: Float[Tensor, 'batch 1 h w'] | None = None) -> Float[Tensor, 'batch 1 h w']:
        output = self.output(self.blocks(self.merge(torch.cat((base, detail), 1))))
        return torch.sigmoid(output if residual is None else output + residual)


class BaseBlock(RestormerBlock):
    """Block for base features: a Lite Transformer in the paper, a variant of a Restormer block in the released code.

    It replaces both depthwise convolutions: that of the attention mixes all channels, and that of the feed-forward
    network mixes channels in pairs.
    """

    def __init__(self, dim: int, heads: int):
        super().__init__(dim, heads, expansion=1)
        self.attention.qkv_depthwise = nn.Conv2d(3 * dim, 3 * dim, 3, padding=1, bias=False)
        self.feed_forward.depthwise = nn.Conv2d(2 * dim, 2 * dim, 3, padding=1, groups=dim, bias=False)


class InvertibleLayers(nn.Sequential):
    """Affine coupling layers (Dinh et al., ICLR 2017) for detail features; being invertible, they lose nothing.

    Args:
        dim: channels in and out.
        layers: number of coupling layers.
    """

    def __init__(self, dim: int, layers: int):
        super().__init__(*(CouplingLayer(dim) for _ in range(layers)))


class CouplingLayer(nn.Module):
    """A coupling layer: small networks change each half of the channels, given only the other half (Fig. 2b)."""

    def __init__(self, dim: int):
        super().__init__()
        self.mix = nn.Conv2d(dim, dim, 1)
        self.shift_second, self.scale_first, self.shift_first = (_bottleneck(dim // 2) for _ in range(3))

    def forward(self, x: Features) -> Features:
        first, second = self.mix(x).chunk(2, 1)
        second = second + self.shift_second(first)
        first = first * self.scale_first(second).exp() + self.shift_first(second)
        return torch.cat((first, second), 1)


def _bottleneck(dim: int) -> nn.Sequential:
    """An inverted residual bottleneck (Sandler et al., CVPR 2018) without the residual, at an expansion of two."""
    return nn.Sequential(
        nn.Conv2d(dim, 2 * dim, 1, bias=False), nn.ReLU6(),
        nn.Conv2d(2 * dim, 2 * dim, 3, padding=1, padding_mode='reflect', groups=2 * dim, bias=False), nn.ReLU6(),
        nn.Conv2d(2 * dim, dim, 1, bias=False))


_REMEDY = 'Give the released CDDFuse_IVF.pth or CDDFuse_MIF.pth, unchanged.'

#: Patterns that turn our names into the released ones, applied in this order.
_RELEASED_PARTS = (
    (r'^(encoder\.base|base_fusion)\.attention\.temperature', r'\1.attn.scale'),
    (r'^(encoder\.base|base_fusion)\.attention\.qkv_depthwise', r'\1.attn.qkv2'),
    (r'^(encoder\.base|base_fusion)\.attention\.qkv', r'\1.attn.qkv1'),
    (r'^(encoder\.base|base_fusion)\.attention\.project', r'\1.attn.proj'),
    (r'^(encoder\.base|base_fusion)\.feed_forward\.expand', r'\1.mlp.project_in'),
    (r'^(encoder\.base|base_fusion)\.feed_forward\.depthwise', r'\1.mlp.dwconv'),
    (r'^(encoder\.base|base_fusion)\.feed_forward\.project', r'\1.mlp.project_out'),
    (r'^(encoder\.detail|detail_fusion)\.', r'\1.net.'),
    (r'\.mix\.', r'.shffleconv.'),
    (r'\.shift_second\.', r'.theta_phi.bottleneckBlock.'),
    (r'\.scale_first\.', r'.theta_rho.bottleneckBlock.'),
    (r'\.shift_first\.', r'.theta_eta.bottleneckBlock.'),
    (r'bottleneckBlock\.4', r'bottleneckBlock.5'),  # the released module has padding as a layer of its own
    (r'bottleneckBlock\.2', r'bottleneckBlock.3'),
    (r'^encoder\.embed', r'DIDF_Encoder.patch_embed.proj'),
    (r'^encoder\.shared', r'DIDF_Encoder.encoder_level1'),
    (r'^encoder\.base', r'DIDF_Encoder.baseFeature'),
    (r'^encoder\.detail', r'DIDF_Encoder.detailFeature'),
    (r'^decoder\.merge', r'DIDF_Decoder.reduce_channel'),
    (r'^decoder\.blocks', r'DIDF_Decoder.encoder_level2'),
    (r'^decoder\.output', r'DIDF_Decoder.output'),
    (r'^base_fusion', r'BaseFuseLayer'),
    (r'^detail_fusion', r'DetailFuseLayer'),
    *RELEASED_BLOCK_PARTS,
)
