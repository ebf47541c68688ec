"""LDFusion: infrared and visible image fusion with a language-driven loss in CLIP's space (Wang et al., ACM MM 2025).

The network reads no text: words guide its training alone. It is built like those of image translation (Huang et al.,
MUNIT, ECCV 2018). For each source, one encoder finds the content, and another one a vector of style. A decoder draws
the fused image from both contents; both styles set the scale and shift of its normalisations.
This independent implementation reproduces the output of the released network up to rounding.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.models.released import convert
from vlfusion.registry import BACKBONES
from vlfusion_ldfusion.layers import adaptive_norm, at_least, draw_small_kernels, style_mlp, with_noise

#: Times that the encoders halve the image, and the decoder doubles it.
SCALES = 3


@BACKBONES.register_module()
class LDFusion(nn.Module):
    """LDFusion: encoders of content and of style for each source, and one decoder. 5,776,977 parameters, no text.

    Args:
        dim: channels of the first convolution of each encoder.
        blocks: residual blocks of each content encoder, and of the decoder.
        style_dim: length of a source's style.
        noise: standard deviation of Gaussian noise that is added to both sources in training mode; the released script
            uses 0.03. The losses see the sources without it.

    >>> LDFusion()(torch.rand(2, 1, 20, 27), torch.rand(2, 1, 20, 27)).shape
    torch.Size([2, 1, 20, 27])
    """

    def __init__(self, dim: int = 16, blocks: int = 2, style_dim: int = 8, noise: float = 0.0):
        super().__init__()
        self.noise = noise
        self.content_a, self.content_b = (content_encoder(dim, blocks) for _ in range(2))
        self.style_a, self.style_b = (style_encoder(dim, style_dim) for _ in range(2))
        width = 2 * dim * 2**SCALES  # contents of both sources
        self.blocks = nn.ModuleList(ResidualBlock(width) for _ in range(blocks))
        self.adapt = style_mlp(2 * style_dim, blocks * 4 * width)
        widths = [width // 2**scale for scale in range(SCALES + 1)]
        self.up = nn.Sequential(*(nn.Sequential(nn.ConvTranspose2d(wide, narrow, 5, 2), LayerNorm(narrow), nn.ReLU())
                                  for wide, narrow in zip(widths, widths[1:], strict=False)))
        self.output = nn.Conv2d(widths[-1], 1, 7, padding=3, padding_mode='reflect')
        draw_small_kernels(self)

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Tensor | None = None, text_mask: Tensor | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two images of one scene.

        Args:
            source_a: infrared, in [0, 1].
            source_b: luminance of the visible image, in [0, 1].
            text, text_mask: unused; LDFusion reads no text.

        Returns:
            The fused luminance in [0, 1], clamped in training too, as in the released code.
        """
        height, width = source_a.shape[-2:]
        a, b = at_least(2 * 2**SCALES, *(with_noise(self, source, self.noise) for source in (source_a, source_b)))
        x = torch.cat((self.content_b(b), self.content_a(a)), 1)
        parameters = self.adapt(torch.cat((self.style_b(b), self.style_a(a)), 1))
        for block, of_block in zip(self.blocks, parameters.chunk(len(self.blocks), 1), strict=True):
            x = block(x, of_block)
        # Transposed convolutions without padding give an image that is at least as large, 85 for 64 pixels.
        return self.output(self.up(x)).tanh().clamp(0, 1)[..., :height, :width]

    @staticmethod
    def convert_released(*states: dict) -> dict[str, Tensor]:
        """Rename the released states of encoder and decoder to the names of this network.

        Args:
            states: contents of both files, released name to tensor; a prefix `module.` is dropped. The running
                statistics of the decoder's normalisations are left out, because they are never used.

        Raises:
            CheckpointError: a name is missing, or LDFusion does not have it.
        """
        state = {name: value for part in states for name, value in part.items()}
        return convert(LDFusion, state, _released_name, dropped=r'\.running_(mean|var)$',
                       remedy='Give Enc_final.pt and Dec_final.pt, unchanged.')


def content_encoder(dim: int, blocks: int) -> nn.Sequential:
    """Build the encoder of an image's content: features `(batch, 8 dim, h / 8, w / 8)`, rounded down."""
    layers = [nn.Conv2d(1, dim, 7, padding=3, padding_mode='reflect')]
    layers += [nn.Conv2d(dim * 2**scale, dim * 2**(scale + 1), 4, 2, 1) for scale in range(SCALES)]
    width = dim * 2**SCALES
    return nn.Sequential(*(nn.Sequential(layer, nn.InstanceNorm2d(layer.out_channels), nn.ReLU()) for layer in layers),
                         *(ResidualBlock(width) for _ in range(blocks)))


def style_encoder(dim: int, style_dim: int) -> nn.Sequential:
    """Build the encoder of an image's style: one vector, averaged over the image. It keeps mean levels: no norm."""
    widths = [dim, 2 * dim, 4 * dim, 4 * dim]
    layers = [nn.Conv2d(1, dim, 7, padding=3, padding_mode='reflect'), nn.ReLU()]
    for wide, wider in zip(widths, widths[1:], strict=False):
        layers += [nn.Conv2d(wide, wider, 4, 2, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Conv2d(widths[-1], style_dim, 1), nn.Flatten())


class ResidualBlock(nn.Module):
    """Two convolutions, each normalised; in the decoder with scales and shifts from outside."""

    def __init__(self, width: int):
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1, padding_mode='reflect') for _ in range(2))

    def forward(self, x: Float[Tensor, 'batch c h w'],
                parameters: Float[Tensor, 'batch 4*c'] | None = None) -> Float[Tensor, 'batch c h w']:
        first, second = (None, None) if parameters is None else parameters.chunk(2, 1)
        return x + adaptive_norm(self.second(adaptive_norm(self.first(x), first).relu()), second)


class LayerNorm(nn.Module):
    """Normalisation of each image over all channels and pixels, by the unbiased deviation."""

    def __init__(self, channels: int, eps: float = 1e-5):
        super().__init__()
        self.eps = eps
        self.scale = nn.Parameter(torch.rand(channels))
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Float[Tensor, 'batch c h w']) -> Float[Tensor, 'batch c h w']:
        mean, deviation = x.mean((1, 2, 3), keepdim=True), x.std((1, 2, 3), keepdim=True)
        return (x - mean) / (deviation + self.eps) * self.scale[:, None, None] + self.shift[:, None, None]


def _released_name(name: str) -> str:
    """Released name of a parameter of LDFusion."""
    part, *rest = name.split('.')
    if part == 'adapt':
        return '.'.join(('mlp.model', *rest))
    if part == 'output':  # after three stages of three layers and a padding layer
        return f'model_up.{3 * SCALES + 1}.{rest[0]}'
    if part == 'up':
        stage, layer, parameter = rest
        parameter = {'scale': 'gamma', 'shift': 'beta'}.get(parameter, parameter)
        return f'model_up.{3 * int(stage) + int(layer)}.{parameter}'
    if part == 'blocks':
        return f'model_local.{rest[0]}.{_in_block(rest)}'
    kind, source = part.split('_')
    encoder = f'{kind}_encoder{dict(b=1, a=2)[source]}.model'
    if kind == 'style':
        return f'{encoder}.{int(rest[0]) + 1}.{rest[1]}'
    index = int(rest[0])
    if rest[1] in ('first', 'second'):  # after a padding layer, and three layers for each convolution
        return f'{encoder}.{2 * (SCALES + 1) + 1 + index}.{_in_block(rest)}'
    return f'{encoder}.{3 * index + 1}.{rest[2]}'


def _in_block(rest: list[str]) -> str:
    """Released name of a parameter within a residual block."""
    return f'block.{dict(first=1, second=5)[rest[1]]}.{rest[2]}'
