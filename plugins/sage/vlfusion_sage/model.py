"""SAGE: every SAM drop counts, embracing semantic priors for image fusion (Wu et al., CVPR 2025, 17882-17891).

A large network that sees masks of Segment Anything teaches a small one, and only the small one is needed to fuse. This
is the small network: an encoder and a decoder at three resolutions, with batch normalisation. This independent
implementation reproduces the output of the released network up to rounding.
"""

from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

from vlfusion.errors import DataError
from vlfusion.models.released import convert
from vlfusion.registry import BACKBONES


@BACKBONES.register_module()
class SAGE(nn.Module):
    """SAGE: the small network, an encoder and a decoder at three resolutions.

    Args:
        dim: channels of every feature map.

    >>> SAGE()(torch.rand(2, 1, 20, 27), torch.rand(2, 1, 20, 27)).shape
    torch.Size([2, 1, 20, 27])
    """

    # Seven 3x3 convolutions at full size, six at half, three at a quarter, with pooling and enlargement in between. If
    # the size is not a multiple of 4, the factor of enlargement depends on the size.
    halo, multiple, only_multiples = 40, 4, True

    def __init__(self, dim: int = 32):
        super().__init__()
        self.encode = nn.ModuleList(_blocks(*widths) for widths in ((2, dim, dim, dim), *[(dim,) * 4] * 2))
        self.merge = nn.ModuleList(_blocks(2 * dim, dim, size=1) for _ in range(2))
        self.decode = nn.ModuleList(_blocks(*(dim,) * 4) for _ in range(2))
        self.output = nn.Conv2d(dim, 1, 3, padding=1)

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Float[Tensor, 'batch token dim'] | None = None,
                text_mask: Bool[Tensor, 'batch token'] | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two images of one scene.

        Args:
            source_a: infrared, in [0, 1], of at least 4x4 pixels.
            source_b: luminance of the visible image in [0, 1], of the same size.
            text, text_mask: unused; SAGE reads no text.

        Returns:
            The fused luminance in [0, 1]; in training mode in [-1, 1], because clamped pixels have no gradient.

        Raises:
            DataError: the images are smaller than 4x4, too small to be halved twice.
        """
        if min(source_a.shape[-2:]) < 4:
            raise DataError(f'SAGE needs images of at least 4x4, but got {tuple(source_a.shape[-2:])}.',
                            'Pad them, or use larger crops.')
        fine = self.encode[0](torch.cat((source_b, source_a), 1))  # visible first
        middle = self.encode[1](max_pool2d(fine, 2))
        x = self.encode[2](max_pool2d(middle, 2))
        for merge, decode, skip in zip(self.merge, self.decode, (middle, fine), strict=True):
            x = interpolate(x, size=skip.shape[-2:], mode='bilinear')
            x = decode(merge(torch.cat((x, skip), 1)))
        fused = self.output(x).tanh()
        return fused if self.training else fused.clamp(min=0)

    @staticmethod
    def convert_released(state: dict) -> dict[str, Tensor]:
        """Rename the state of the released sub-network to the names of this one.

        Args:
            state: released name to tensor; a prefix `module.` is dropped.

        Raises:
            CheckpointError: a name is missing, or SAGE does not have it.
        """
        return convert(SAGE, state, _released_name, remedy='Give the released checkpoints.pt, unchanged.')


def _blocks(*widths: int, size: int = 3) -> nn.Sequential:
    """Build a convolution, batch normalisation and a leaky ReLU from each width to the next."""
    return nn.Sequential(*(layer for before, after in pairwise(widths)
                           for layer in (nn.Conv2d(before, after, size, padding=size // 2), nn.BatchNorm2d(after),
                                         nn.LeakyReLU())))


#: The released code numbers the stages: three down, then two up, each of these after a 1x1 convolution.
_RELEASED_PARTS = {'encode.0': 'module1', 'encode.1': 'module2', 'encode.2': 'module3', 'decode.0': 'module4',
                   'decode.1': 'module5', 'merge.0': 'adjust_channels4', 'merge.1': 'adjust_channels5',
                   'output': 'final_decoder.0'}


def _released_name(name: str) -> str:
    """Released name of a parameter of SAGE."""
    part = next(part for part in _RELEASED_PARTS if name.startswith(f'{part}.'))
    return _RELEASED_PARTS[part] + name.removeprefix(part)
