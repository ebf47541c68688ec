"""LRRNet: a representation learning guided fusion framework for infrared and visible images (Li et al., TPAMI 2023).

Low-rank representation splits an image into a low-rank and a sparse part by iterations that shrink a code step by step.
Here a few iterations are the layers of a network (LLRR blocks), with learned convolutions as dictionaries and a learned
threshold for each channel. This independent implementation reproduces the output of the released network.
"""


import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vlfusion.errors import DataError
from vlfusion.models.released import convert
from vlfusion.registry import BACKBONES


@BACKBONES.register_module()
class LRRNet(nn.Module):
    """LRRNet: splits each source into a low-rank and a sparse part, and fuses both. 49,198 parameters, no text.

    Args:
        dim: channels of the low-rank part, and of the sparse part, of each source.
        blocks: number of iterations of the representation.

    >>> LRRNet(dim=8)(torch.rand(2, 1, 20, 27), torch.rand(2, 1, 20, 27)).shape
    torch.Size([2, 1, 20, 27])
    """

    def __init__(self, dim: int = 128, blocks: int = 4):
        super().__init__()
        self.represent_a = Representation(dim, blocks)
        self.represent_b = Representation(dim, blocks)
        # From here on the released convolutions have biases. These shift the whole image; the final stretch undoes it.
        self.low_a, self.low_b, self.sparse_a, self.sparse_b = (_conv(dim, 1, bias=False) for _ in range(4))
        self.low, self.sparse = _conv(2, 1, bias=False), _conv(2, 1, bias=False)

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Float[Tensor, 'batch token dim'] | None = None,
                text_mask: Bool[Tensor, 'batch token'] | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two images of one scene. Each is stretched to its own minimum and maximum first.

        Args:
            source_a: infrared, in [0, 1], of at least two rows and columns.
            source_b: luminance of the visible image, in [0, 1], of the same size.
            text, text_mask: unused; LRRNet reads no text.

        Returns:
            The fused luminance, stretched to [0, 1] as the authors do, also in training mode.

        Raises:
            DataError: an image has a single row or column, which cannot be reflected.
        """
        if min(source_a.shape[-2:]) < 2:
            raise DataError(f'LRRNet needs images of at least 2x2, but got {tuple(source_a.shape[-2:])}.',
                            'Use larger images.')
        low_a, sparse_a = self.represent_a(stretched(source_a, 1e-5 / 255))
        low_b, sparse_b = self.represent_b(stretched(source_b, 1e-5 / 255))
        low = self.low(torch.cat((self.low_a(low_a), self.low_b(low_b)), 1))
        sparse = self.sparse(torch.cat((self.sparse_a(sparse_a), self.sparse_b(sparse_b)), 1))
        return stretched(low + sparse, 1e-5)

    @staticmethod
    def convert_released(state: dict) -> dict[str, Tensor]:
        """Rename the state of the released network to the names of this one.

        Args:
            state: released name to tensor. A prefix `module.` is dropped, and so are six biases of the decoder without
                effect on the output.

        Raises:
            CheckpointError: a name is missing, or LRRNet does not have it.
        """
        state = {name: value.flatten() if name.endswith(('lamj', 'lamz')) else value for name, value in state.items()}
        return convert(LRRNet, state, _RELEASED_PARTS, dropped=r'^decoder\..*\.bias$',
                       remedy='Give the released file of four blocks, unchanged.')


class Representation(nn.Module):
    """Learned low-rank representation: a code of an image, corrected block by block by its own reconstruction.

    `Z_0 = shrink(W x)` and `Z_k+1 = shrink(c Z_k + A_k (x - D_k Z_k))`; half of the channels are the low-rank part.

    Args:
        dim: channels of each part.
        blocks: number of corrections.
    """

    def __init__(self, dim: int, blocks: int):
        super().__init__()
        self.first = _conv(1, 2 * dim)
        self.synthesis = nn.ModuleList(_conv(2 * dim, 1) for _ in range(blocks))  # D: code to image
        self.analysis = nn.ModuleList(_conv(1, 2 * dim) for _ in range(blocks))  # A: image to code
        self.threshold = nn.Parameter(torch.rand(2 * dim))  # one for each channel, shared by all blocks
        self.carry = nn.Parameter(torch.rand(1))

    def forward(self, image: Float[Tensor, 'batch 1 h w']) -> tuple[Float[Tensor, 'batch dim h w'],
                                                                      Float[Tensor, 'batch dim h w']]:
        """Split an image into its low-rank and its sparse part."""
        code = self._shrink(self.first(image))
        for synthesis, analysis in zip(self.synthesis, self.analysis, strict=True):
            code = self._shrink(self.carry * code + analysis(image - synthesis(code)))
        return code.chunk(2, 1)

    def _shrink(self, code: Tensor) -> Tensor:
        """Move the code towards zero by the threshold of its channel, at most to zero (soft thresholding)."""
        return code.sign() * (code.abs() - self.threshold[:, None, None]).clamp(min=0)


def stretched(image: Float[Tensor, 'batch 1 h w'], epsilon: float) -> Float[Tensor, 'batch 1 h w']:
    """Stretch each image from its minimum (0) to its maximum (nearly 1); `epsilon` avoids a division by 0."""
    low, high = image.amin((1, 2, 3), keepdim=True), image.amax((1, 2, 3), keepdim=True)
    return (image - low) / (high - low + epsilon)


def _conv(channels: int, dim: int, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(channels, dim, 3, padding=1, padding_mode='reflect', bias=bias)


#: Patterns that turn our names into the released ones.
_RELEASED_PARTS = (
    (r'^represent_a', 'get_ls1'), (r'^represent_b', 'get_ls2'), (r'threshold$', 'lamj'), (r'carry$', 'lamz'),
    (r'first\.', 'conv_W00.conv2d.'), (r'synthesis\.(\d)\.', r'lrrblock\1.conv_Wdz.conv2d.'),
    (r'analysis\.(\d)\.', r'lrrblock\1.conv_Wdtz.conv2d.'),
    (r'^low_a', 'decoder.conv_ReZx.conv2d'), (r'^sparse_a', 'decoder.conv_ReUx.conv2d'),
    (r'^low_b', 'decoder.conv_ReZy.conv2d'), (r'^sparse_b', 'decoder.conv_ReUy.conv2d'),
    (r'^low\.', 'decoder.conv_ReL.conv2d.'), (r'^sparse\.', 'decoder.conv_ReH.conv2d.'))
