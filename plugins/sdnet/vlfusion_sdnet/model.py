"""SDNet: a squeeze-and-decomposition network for real-time image fusion (Zhang and Ma, IJCV 2021).

One half squeezes two images into one; the other decomposes the result into both again. Only training uses the second
half: it punishes a fused image that has lost information. This independent implementation reproduces the output of the
released network up to rounding.
"""

import os

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vlfusion.models.released import under_our_names, without_prefix
from vlfusion.models.tensorflow_data import read_data_file, with_torch_kernels
from vlfusion.registry import BACKBONES
from vlfusion_sdnet.released import released_name

_SLOPE = 0.2  # of the leaky ReLUs


def _initialise(module: nn.Module) -> None:
    """Draw weights as the released code does: small, within two standard deviations, with biases 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.trunc_normal_(layer.weight, std=1e-3, a=-2e-3, b=2e-3)
            nn.init.zeros_(layer.bias)


@BACKBONES.register_module()
class SDNet(nn.Module):
    """SDNet, the half that fuses: a dense branch of four convolutions for each source, and a 1x1 convolution.

    Args:
        swap: whether source B goes through the first branch. The authors' order is infrared, visible; functional,
            structural; under-, over-exposed; near, far. So `mif` and `mef` need True.
        dim: channels of each convolution.

    >>> SDNet()(torch.rand(2, 1, 20, 28), torch.rand(2, 1, 20, 28)).shape
    torch.Size([2, 1, 20, 28])
    """

    halo = 5  # one 5x5 convolution and three of 3x3

    def __init__(self, swap: bool = False, dim: int = 16):
        super().__init__()
        self.swap = swap
        self.squeeze_first, self.squeeze_second = _dense_branch(dim), _dense_branch(dim)
        self.fuse = nn.Conv2d(8 * dim, 1, 1)
        _initialise(self)

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Float[Tensor, 'batch token dim'] | None = None,
                text_mask: Bool[Tensor, 'batch token'] | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two images of one scene.

        Args:
            source_a, source_b: luminance in [0, 1].
            text, text_mask: unused; SDNet reads no text.

        Returns:
            The fused luminance, in [0, 1].
        """
        first, second = (2 * source - 1 for source in self.in_order(source_a, source_b))
        maps = zip(_dense(self.squeeze_first, first), _dense(self.squeeze_second, second), strict=True)
        fused = self.fuse(torch.cat([part for pair in maps for part in pair], 1)).tanh()  # in [-1, 1], as the sources
        return (fused + 1) / 2

    def in_order(self, source_a: Tensor, source_b: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sources in the order of the branches."""
        return (source_b, source_a) if self.swap else (source_a, source_b)

    @staticmethod
    def read_released(path: str | os.PathLike) -> dict[str, Tensor]:
        """Read the tensors of a released file, `.data-00000-of-00001` of a TensorFlow checkpoint, by released name.

        Raises:
            CheckpointError: the file is missing or has another size.
        """
        with torch.device('meta'):
            return read_data_file(path, 'SDNet', _Both(), released_name)

    @staticmethod
    def convert_released(state: dict) -> dict[str, Tensor]:
        """Rename a released state to the names of this network, without the decomposition, which only training uses.

        Args:
            state: released name to tensor, kernels as `(height, width, in, out)`; a prefix `module.` is dropped.

        Raises:
            CheckpointError: a name is missing, or SDNet does not have it.
        """
        with torch.device('meta'):
            names = list(SDNet().state_dict())
        return {name: value for name, value in _both_halves(state).items() if name in names}


class Decomposition(nn.Module):
    """The half of SDNet that restores both sources from a fused image.

    Args:
        dim: channels, as in `SDNet`.
    """

    def __init__(self, dim: int = 16):
        super().__init__()
        self.expand = nn.Conv2d(1, 8 * dim, 1)
        self.decompose_first, self.decompose_second = (
            nn.Sequential(nn.Conv2d(8 * dim, dim, 3, padding=1), nn.LeakyReLU(_SLOPE),
                          nn.Conv2d(dim, dim // 4, 3, padding=1), nn.LeakyReLU(_SLOPE),
                          nn.Conv2d(dim // 4, 1, 3, padding=1), nn.Tanh()) for _ in range(2))
        _initialise(self)

    def forward(self, fused: Float[Tensor, 'batch 1 h w']) -> tuple[Float[Tensor, 'batch 1 h w'],
                                                                    Float[Tensor, 'batch 1 h w']]:
        """Decompose the fused image in [0, 1] into the sources of the first and of the second branch, in [0, 1]."""
        maps = nn.functional.leaky_relu(self.expand(2 * fused - 1), _SLOPE)
        return (self.decompose_first(maps) + 1) / 2, (self.decompose_second(maps) + 1) / 2

    @staticmethod
    def convert_released(state: dict) -> dict[str, Tensor]:
        """Convert a released state as `SDNet.convert_released` does, for this half."""
        with torch.device('meta'):
            names = list(Decomposition().state_dict())
        return {name: value for name, value in _both_halves(state).items() if name in names}


class _Both(nn.Module):
    """Both halves, as a released file holds them."""

    def __init__(self):
        super().__init__()
        for half in (SDNet(), Decomposition()):
            for name, layer in half.named_children():
                self.add_module(name, layer)


def _both_halves(state: dict) -> dict[str, Tensor]:
    with torch.device('meta'):
        names = {name: released_name(name) for name in _Both().state_dict()}
    return with_torch_kernels(under_our_names('SDNet', without_prefix(state), names,
                                              'Give the file that ends in .data-00000-of-00001, unchanged.'))


def _dense_branch(dim: int) -> nn.ModuleList:
    return nn.ModuleList([nn.Conv2d(1, dim, 5, padding=2)]
                         + [nn.Conv2d(count * dim, dim, 3, padding=1) for count in (1, 2, 3)])


def _dense(branch: nn.ModuleList, image: Tensor) -> list[Tensor]:
    """Compute the maps of each convolution. All but the first read the maps of all convolutions before them."""
    maps = []
    for layer in branch:
        maps.append(nn.functional.leaky_relu(layer(torch.cat(maps, 1) if maps else image), _SLOPE))
    return maps
