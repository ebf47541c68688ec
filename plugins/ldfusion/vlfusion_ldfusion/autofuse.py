"""AutoFuse: fusion that resists degradation, with textual objectives made by language models and contrastive learning.

By LDFusion's authors; the released code (wyhlaowang/AutoFuse) names no venue. As in LDFusion, words guide training
alone. One encoder reads both sources. A second network reads both at a small size and gives one vector, which sets the
scale and shift of the decoder's normalisations. The decoder draws the fused image at twice the size of the sources.
This independent implementation reproduces the output of the released network up to rounding.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.errors import CheckpointError
from vlfusion.models.released import convert, without_prefix
from vlfusion.registry import BACKBONES
from vlfusion_ldfusion.layers import adaptive_norm, at_least, draw_small_kernels, style_mlp, with_noise

#: Times that the encoder halves the image; the decoder doubles it once more.
SCALES = 3
#: Side of the images that the vector is read from.
GLANCE = 160


@BACKBONES.register_module()
class AutoFuse(nn.Module):
    """AutoFuse: one encoder, a vector about both sources, and a decoder to twice the size. 20,280,599 parameters.

    The result has the size of the sources, in two ways that match the released scripts:

    - In training mode, sources are halved first. The network restores detail that its input has lost.
    - In evaluation mode, each pixel is the mean of 2x2 pixels of the enlarged image. `enlarged` returns that image.

    Args:
        dim: channels of the encoder's first convolution.
        vector_dim: length of the vector.
        noise: standard deviation of Gaussian noise that is added to the halved sources in training mode; the released
            script uses 0.03. The losses see the sources without it.

    >>> AutoFuse(dim=2).eval()(torch.rand(2, 1, 20, 27), torch.rand(2, 1, 20, 27)).shape
    torch.Size([2, 1, 20, 27])
    """

    def __init__(self, dim: int = 32, vector_dim: int = 16, noise: float = 0.0):
        super().__init__()
        self.noise = noise
        widths = [dim * 2**scale for scale in range(SCALES + 2)]
        layers = [nn.Conv2d(2, dim, 7, padding=3),
                  *(nn.Conv2d(narrow, wide, 3, stride=2 if index < SCALES else 1, padding=1)
                    for index, (narrow, wide) in enumerate(zip(widths, widths[1:], strict=False)))]
        self.encoder = nn.Sequential(*(nn.Sequential(layer, nn.InstanceNorm2d(layer.out_channels), nn.ReLU())
                                       for layer in layers))
        self.encoded = nn.Conv2d(widths[-1], widths[-1], 5, padding=2)
        self.glance = glance_network(2 * dim, vector_dim)
        self.decoded = nn.Conv2d(widths[-1], widths[-1], 5)
        self.up = nn.ModuleList(nn.Conv2d(wide, narrow, 5)
                                for wide, narrow in zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.output = nn.Conv2d(dim, 1, 7)
        self.adapt = style_mlp(vector_dim, 2 * sum(layer.out_channels for layer in (self.decoded, *self.up)))
        draw_small_kernels(self)

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Tensor | None = None, text_mask: Tensor | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two images of one scene.

        Args:
            source_a: infrared, in [0, 1].
            source_b: luminance of the visible image, in [0, 1].
            text, text_mask: unused; AutoFuse reads no text.

        Returns:
            The fused luminance in [0, 1].
        """
        height, width = source_a.shape[-2:]
        if not self.training:
            return F.avg_pool2d(self.enlarged(source_a, source_b), 2)
        halves = (F.interpolate(source, ((height + 1) // 2, (width + 1) // 2), mode='bilinear')
                  for source in (source_a, source_b))
        noisy = (with_noise(self, half, self.noise) for half in halves)
        return self.enlarged(*noisy)[..., :height, :width]

    def enlarged(self, source_a: Float[Tensor, 'batch 1 h w'],
                 source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, 'batch 1 2*h 2*w']:
        """Fuse two images into one of twice their height and width."""
        height, width = source_a.shape[-2:]
        a, b = at_least(2 * 2**SCALES + 1, source_a, source_b)  # three pixels at the coarsest scale
        x = self.encoder(torch.cat((b, a), 1))
        x = x + adaptive_norm(self.encoded(x), None).relu()
        small = torch.cat([F.interpolate(source, (GLANCE, GLANCE)) for source in (b, a)], 1)
        parameters = self.adapt(self.glance(small))
        first, *others = parameters.split([2 * layer.out_channels for layer in (self.decoded, *self.up)], 1)
        x = x + adaptive_norm(self.decoded(self._framed(x, 2)), first).relu()
        for layer, of_layer in zip(self.up, others, strict=True):
            x = adaptive_norm(layer(self._framed(F.interpolate(x, scale_factor=2), 2)), of_layer).relu()
        return self.output(self._framed(x, 3)).sigmoid()[..., :2 * height, :2 * width]

    def _framed(self, x: Float[Tensor, 'batch c h w'], width: int) -> Float[Tensor, 'batch c _ _']:
        """Frame the decoder's features: with zeros in training, reflected otherwise, as the released scripts do."""
        return F.pad(x, (width,) * 4, mode='constant' if self.training else 'reflect')

    @staticmethod
    def convert_released(*states: dict) -> dict[str, Tensor]:
        """Rename the released states to the names of this network.

        Args:
            states: contents of enc.pt, mod.pt and dec.pt, in this order: released name to tensor; a prefix `module.` is
                dropped. The running statistics of the decoder's normalisations are left out: they are never used.

        Raises:
            CheckpointError: there are not three states, or a name is missing or unknown.
        """
        if len(states) != len(_FILES):
            raise CheckpointError(f'AutoFuse has three released files, but {len(states)} were given.', _REMEDY)
        # The files use the same names, so the file's own name is put in front.
        state = {f'{file}.{name}': value for file, part in zip(_FILES, states, strict=True)
                 for name, value in without_prefix(part).items()}
        return convert(AutoFuse, state, _released_name, dropped=r'\.running_(mean|var)$', remedy=_REMEDY)


def glance_network(dim: int, vector_dim: int) -> nn.Sequential:
    """Build the network that turns both sources, at a small size, into one vector."""
    layers = [nn.Conv2d(2, 2, 5, 2, 2), nn.Conv2d(2, dim, 3, 2, 1), nn.ReLU()]
    for narrow, wide in ((dim, 2 * dim), (2 * dim, 4 * dim), (4 * dim, 2 * dim)):
        layers += [nn.Conv2d(narrow, wide, 3, 2, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Conv2d(2 * dim, vector_dim, 1), nn.Flatten())


_FILES = ('enc', 'mod', 'dec')
_REMEDY = 'Give enc.pt, mod.pt and dec.pt of the folder weight, in this order, unchanged.'


def _released_name(name: str) -> str:
    """Released name of a parameter of AutoFuse, after the name of its file."""
    part, *rest = name.split('.')
    match part:
        case 'encoder':  # convolution, normalisation and ReLU in turn
            return f'enc.model.{3 * int(rest[0])}.{rest[2]}'
        case 'encoded':
            return f'enc.model.{3 * (SCALES + 2)}.block.0.{rest[0]}'
        case 'glance':
            return f'mod.model.{rest[0]}.{rest[1]}'
        case 'decoded':
            return f'dec.model.0.block.0.{rest[0]}'
        case 'up':  # enlargement, convolution, normalisation and ReLU in turn
            return f'dec.model.{4 * int(rest[0]) + 2}.{rest[1]}'
        case 'output':
            return f'dec.model.{4 * (SCALES + 1) + 1}.{rest[0]}'
    return f'dec.mlp.model.{rest[0]}.{rest[1]}'
