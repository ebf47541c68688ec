"""MUFusion: a general unsupervised image fusion network based on memory unit (Cheng et al., Information Fusion 2023).

A U-shaped network of twelve convolutions at two scales, with dense connections in the encoder. The same network serves
every task, with weights trained for each. This independent implementation reproduces the output of the released
network, tile by tile, up to rounding.
"""


import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from vlfusion.errors import ConfigError, DataError, did_you_mean
from vlfusion.models.released import convert
from vlfusion.registry import BACKBONES


@BACKBONES.register_module()
class MUFusion(nn.Module):
    """MUFusion: a U-shaped network with dense connections. 554,721 parameters, no text.

    In evaluation mode an image is fused in overlapping square tiles, whose results are averaged as in the authors'
    code. The network was trained on images of this size, and its padding makes the result depend on the tiles.

    Args:
        dim: channels at full size; half size has twice as many.
        first: source of the network's first channel. The released weights need `b` for medical pairs (the functional
            image) and for exposures (the under-exposed image, see the README), and `a` for all others.
        tile: height and width of a tile in evaluation mode; None fuses an image as a whole.
        overlap: rows and columns that neighbouring tiles share.

    >>> MUFusion().eval()(torch.rand(2, 1, 20, 27), torch.rand(2, 1, 20, 27)).shape
    torch.Size([2, 1, 20, 27])

    Raises:
        ConfigError: `first` is neither `a` nor `b`, or the overlap is not smaller than the tile.
    """

    def __init__(self, dim: int = 32, *, first: str = 'a', tile: int | None = 128, overlap: int = 4):
        super().__init__()
        if first not in ('a', 'b'):
            raise ConfigError(f'Expected a source as `first` of MUFusion, but got {first!r}.',
                              did_you_mean(first, ('a', 'b')))
        if tile is not None and not 0 <= overlap < tile:
            raise ConfigError(f'Tiles of {tile} pixels cannot share {overlap}.', 'Set a smaller overlap.')
        self.first, self.tile, self.overlap = first, tile, overlap
        # In tiles, a pixel depends on the tiles that contain it, which begin at multiples. In a whole image, it depends
        # on two convolutions, then eight and a bicubic kernel at half size, then two more.
        self.halo, self.multiple = (24, 2) if tile is None else (tile, tile - overlap)
        wide = 2 * dim
        self.encoder = nn.ModuleList([
            _convolution(2, dim), _convolution(dim, dim), _convolution(2 * dim, wide, stride=2),
            _convolution(wide, wide), _convolution(2 * wide, wide), _convolution(3 * wide, wide)])
        self.decoder = nn.ModuleList([
            _convolution(wide, wide), _convolution(2 * wide, wide), _convolution(2 * wide, wide),
            _convolution(2 * wide, wide), _convolution(wide + dim, dim), _convolution(2 * dim, 1, nn.Tanh())])

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Tensor | None = None, text_mask: Tensor | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two images of one scene.

        Args:
            source_a, source_b: luminance in [0, 1], of at least three rows and columns.
            text, text_mask: unused; MUFusion reads no text.

        Returns:
            The fused luminance in [0, 1]. In training mode the image is fused as a whole, in [-1, 1], the range of the
            published losses.

        Raises:
            DataError: the images are too small to be reflected at half size.
        """
        if min(source_a.shape[-2:]) < 3:
            raise DataError(f'MUFusion needs images of at least 3x3 pixels, but got {tuple(source_a.shape[-2:])}.',
                            'Use larger images.')
        sources = torch.cat((source_a, source_b) if self.first == 'a' else (source_b, source_a), 1)
        if self.training:
            return self.fuse(sources)
        return (self.fuse(sources) if self.tile is None else self.fuse_tiles(sources)).clamp(0, 1)

    def fuse(self, sources: Float[Tensor, 'batch 2 h w']) -> Float[Tensor, 'batch 1 h w']:
        """Run the network on whole images; the result is in [-1, 1]. Odd sides are padded to even ones."""
        height, width = sources.shape[-2:]
        fine_1 = self.encoder[0](pad(sources, (0, width % 2, 0, height % 2), mode='replicate'))
        fine_2 = self.encoder[1](fine_1)
        coarse_1 = self.encoder[2](torch.cat((fine_1, fine_2), 1))
        coarse_2 = self.encoder[3](coarse_1)
        coarse_3 = self.encoder[4](torch.cat((coarse_1, coarse_2), 1))
        x = self.decoder[0](self.encoder[5](torch.cat((coarse_1, coarse_2, coarse_3), 1)))
        for layer, skipped in zip(self.decoder[1:4], (coarse_3, coarse_2, coarse_1), strict=True):
            x = layer(torch.cat((skipped, x), 1))
        x = interpolate(x, scale_factor=2, mode='bicubic')
        for layer, skipped in zip(self.decoder[4:], (fine_2, fine_1), strict=True):
            x = layer(torch.cat((skipped, x), 1))
        return x[..., :height, :width]

    def fuse_tiles(self, sources: Float[Tensor, 'batch 2 h w']) -> Float[Tensor, 'batch 1 h w']:
        """Average the results of all tiles, in [-1, 1]. A side shorter than a tile is not divided."""
        total, count = sources.new_zeros(sources[:, :1].shape), sources.new_zeros(sources.shape[-2:])
        for top in self._starts(sources.shape[-2]):
            for left in self._starts(sources.shape[-1]):
                window = (..., slice(top, top + self.tile), slice(left, left + self.tile))
                total[window] = total[window] + self.fuse(sources[window])
                count[window] = count[window] + 1
        return total / count

    def _starts(self, length: int) -> list[int]:
        """List the first pixels of the tiles along a side.

        The last tile ends with the image. If the regular tiles end there too, the last tile appears twice and counts
        twice in the average, as in the released code.
        """
        if length <= self.tile:
            return [0]
        return [*range(0, length - self.tile + 1, self.tile - self.overlap), length - self.tile]

    @staticmethod
    def convert_released(state: dict) -> dict[str, Tensor]:
        """Rename the state of the released network to the names of this one.

        Args:
            state: released name to tensor; a prefix `module.` is dropped.

        Raises:
            CheckpointError: a name is missing, or MUFusion does not have it.
        """
        return convert(MUFusion, state, _released_name, remedy='Give one of the released .model files, unchanged.')


def _convolution(channels: int, out_channels: int, activation: nn.Module | None = None, stride: int = 1) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, out_channels, 3, stride, padding=1, padding_mode='reflect'),
                         activation or nn.ReLU())


def _released_name(name: str) -> str:
    """Released name of a parameter: the encoder counts from conv1 up, the decoder from conv66 down."""
    part, index, _, parameter = name.split('.')
    number = str(int(index) + 1) if part == 'encoder' else 2 * str(6 - int(index))
    return f'conv{number}.1.{parameter}'
