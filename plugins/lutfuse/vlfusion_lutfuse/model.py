"""LUT-Fuse: extremely fast infrared and visible fusion via distillation to learnable look-up tables (ICCV 2025).

Yi, Zhang, Xiang, Yan, Xu and Ma. Four numbers describe a pixel: its visible luminance, the strength of its edge, a
context that a small network computes, and its infrared level. A table of four dimensions says how bright the fused
pixel is. This independent implementation reproduces the output of the released code up to rounding.
"""

import os

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vlfusion.engine.compat import load_checkpoint_file
from vlfusion.errors import CheckpointError
from vlfusion.losses import axis_gradients
from vlfusion.models.layers.autocast import without_autocast
from vlfusion.models.released import convert
from vlfusion.registry import BACKBONES


@BACKBONES.register_module()
class LUTFuse(nn.Module):
    """LUT-Fuse: a table of 65,536 entries and a network of 7,825 parameters that finds the context. No text.

    An untrained table mixes both sources, in the ratio that the context gives.

    The network of the context normalises each map over the whole image, and edges are scaled by the strongest one. So
    it is not fused in tiles.

    Args:
        channels: channels of the visible image that the context reads. The released network reads red, green and blue;
            luminance then stands for all three.
        size: levels of the table along each of its four dimensions.
        dim: channels of the features of the context.

    >>> LUTFuse().eval()(torch.rand(2, 1, 20, 27), torch.rand(2, 1, 20, 27)).shape
    torch.Size([2, 1, 20, 27])
    """

    def __init__(self, channels: int = 3, size: int = 16, dim: int = 16):
        super().__init__()
        self.channels = channels
        self.table = nn.Parameter(mixing_table(size))  # (luminance, edge, context, infrared)
        self.context = Context(channels + 1, dim)

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Tensor | None = None, text_mask: Tensor | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two images of one scene.

        Args:
            source_a: infrared, in [0, 1].
            source_b: luminance of the visible image, in [0, 1].
            text, text_mask: unused.

        Returns:
            The fused luminance in [0, 1]; not clamped in training mode, because clamped pixels have no gradient.
        """
        fused = self.look_up(source_a, source_b, source_b.expand(-1, self.channels, -1, -1))
        return fused if self.training else fused.clamp(0, 1)

    def fuse_colour(self, infrared: Float[Tensor, 'batch 1 h w'],
                    visible: Float[Tensor, 'batch 3 h w']) -> Float[Tensor, 'batch 3 h w']:
        """Fuse as the released script does, whose context sees colours. It keeps the chroma of the visible image.

        Args:
            infrared: in [0, 1].
            visible: red, green and blue in [0, 1].

        Returns:
            Red, green and blue, not clamped.
        """
        weights = visible.new_tensor((0.299, 0.587, 0.114))[:, None, None]
        luminance = (visible * weights).sum(1, keepdim=True)
        return self.look_up(infrared, luminance, visible) - luminance + visible

    def look_up(self, infrared: Float[Tensor, 'batch 1 h w'], luminance: Float[Tensor, 'batch 1 h w'],
                visible: Float[Tensor, 'batch channels h w']) -> Float[Tensor, 'batch 1 h w']:
        """Look up each pixel in the table; `visible` is what the context sees."""
        context = self.context(torch.cat((visible, infrared), 1) * 255)
        with without_autocast(infrared.device):
            levels = (luminance, edges(luminance), context.to(luminance.dtype), infrared)
            scale = 255 * len(self.table) / 256  # a level is 256 / size grey levels wide, as released
            return interpolate(self.table.to(luminance.dtype), [level * scale for level in levels])

    @staticmethod
    def read_released(path: str | os.PathLike) -> dict[str, Tensor]:
        """Read a released file: the table (`.npy`), or the network of the context (`.pth`).

        Raises:
            CheckpointError: the file is unsafe, truncated, or holds no table of numbers.
        """
        if os.path.splitext(path)[1] != '.npy':
            return load_checkpoint_file(path)
        try:
            table = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise CheckpointError(f'{path} cannot be read as an array of numbers: {error}.',
                                  'Give the released fine_tuned_lut.npy, unchanged.') from error
        return {'lut': torch.from_numpy(table)}

    @staticmethod
    def convert_released(*states: dict) -> dict[str, Tensor]:
        """Rename the released table and the state of the released network to the names of this one.

        Args:
            states: both states as `read_released` gives them, in any order, or all their tensors in one.

        Raises:
            CheckpointError: a name is missing, or LUTFuse does not have it.
        """
        state = convert(LUTFuse, {name: value for state in states for name, value in state.items()}, _RELEASED_PARTS,
                        remedy='Give the released table (.npy) and the network of its context (.pth), unchanged.')
        return state | {'table': state['table'].squeeze(-1)}


class Context(nn.Module):
    """A network of five convolutions that gives each pixel a number in [0, 1].

    Args:
        channels: channels of the input, whose values are grey levels up to 255.
        dim: channels of the features.
    """

    def __init__(self, channels: int, dim: int):
        super().__init__()
        self.first = _block(channels, dim)
        self.middle = nn.Sequential(*(layer for _ in range(3) for layer in _block(dim, dim)))
        self.last = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(dim, 1, 3, padding=1), nn.Sigmoid())

    def forward(self, images: Float[Tensor, 'batch channels h w']) -> Float[Tensor, 'batch 1 h w']:
        # With the channels of a pixel side by side, a CPU convolves about twice as fast.
        x = self.first(images.contiguous(memory_format=torch.channels_last))
        return self.last(self.middle(x) + x)


class InstanceNorm(nn.GroupNorm):
    """Normalisation of each channel of each image. Unlike `nn.InstanceNorm2d`, it takes a single pixel."""

    def __init__(self, dim: int):
        super().__init__(dim, dim)

    def forward(self, x: Float[Tensor, 'batch dim h w']) -> Float[Tensor, 'batch dim h w']:
        # If the channels of a pixel lie side by side, torch computes the variance as a difference of large numbers,
        # unless the mean is near 0. Taking it away first changes nothing else.
        return super().forward(x - x.mean((2, 3), keepdim=True))


def _block(channels: int, dim: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, dim, 3, padding=1), nn.LeakyReLU(0.2), InstanceNorm(dim))


def mixing_table(size: int) -> Float[Tensor, 'size size size size']:
    """Make a table that mixes luminance and infrared: all luminance without context, all infrared with the most.

    >>> table = mixing_table(16)  # its level 3 is the grey level 48
    >>> (255 * table[3, 0, [0, 15], 9]).round()
    tensor([ 48., 144.])
    """
    levels = torch.arange(size) * (256 / (255 * size))
    share = torch.arange(size)[:, None] / (size - 1)
    return torch.lerp(levels[:, None, None, None], levels, share).expand(-1, size, -1, -1).clone()


def edges(luminance: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, 'batch 1 h w']:
    """Compute the magnitude of Sobel's gradient, stretched to [0, 1] for each image.

    Zeros lie beyond the border, so a bright border counts as an edge, often as the strongest one. The released table
    depends on it.
    """
    gradient = axis_gradients(luminance, 'constant').square().sum(1, keepdim=True).sqrt()
    low, high = gradient.amin((2, 3), keepdim=True), gradient.amax((2, 3), keepdim=True)
    return (gradient - low) / (high - low + 1e-8)


def interpolate(table: Float[Tensor, 'size size size size'],
                positions: list[Float[Tensor, '*shape']]) -> Float[Tensor, '*shape']:
    """Interpolate a table linearly along its four dimensions.

    It has gradients for the table and for the positions.

    Args:
        table: the values at whole positions.
        positions: the position along each dimension, counted from 0; what lies beyond the table counts as its edge.

    >>> table = torch.arange(16.).view(2, 2, 2, 2)
    >>> interpolate(table, [torch.tensor([position]) for position in (0.5, 0., 1., 0.25)])
    tensor([6.2500])
    """
    shape, entries = positions[0].shape, table.flatten()
    positions = [position.flatten().clamp(0, size - 1) for position, size in zip(positions, table.shape, strict=True)]
    below = [position.detach().int() for position in positions]
    above = [(index + 1).clamp_max(size - 1) for index, size in zip(below, table.shape, strict=True)]

    def between(index: Int[Tensor, ' pixel'] | int, dimension: int) -> Float[Tensor, ' pixel']:
        if dimension == table.ndim:
            return entries.index_select(0, index)
        step = table.stride(dimension)
        return torch.lerp(between(index + step * below[dimension], dimension + 1),
                          between(index + step * above[dimension], dimension + 1),
                          positions[dimension] - below[dimension])

    return between(0, 0).view(shape)


#: Patterns that turn our names into the released ones, applied in this order.
_RELEASED_PARTS = (
    (r'^table', r'lut'),
    (r'^context\.first', r'input_layer'),
    (r'^context\.middle', r'mid_layer'),
    (r'^context\.last', r'output_layer'),
)
