"""Random views of images: cut at random, turned, shifted, enlarged and sheared a little."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vlfusion.errors import ConfigError, needs


@dataclass(frozen=True)
class Distortion:
    """A random affine map of an image. Pixels are taken from the nearest one; those from outside are black.

    Attributes:
        turn: largest angle of rotation, in degrees, either way.
        shift: largest shift to either side, and up or down, as fractions of width and height.
        zoom: smallest and largest factor of enlargement.
        shear: largest angle of shear along the width and along the height, in degrees, either way.
    """

    turn: float = 5
    shift: tuple[float, float] = (0, 0.1)
    zoom: tuple[float, float] = (1, 1.5)
    shear: tuple[float, float] = (5, 0)

    def __call__(self, image: Float[Tensor, '*batch h w'], draws: Sequence[float]) -> Float[Tensor, '*batch h w']:
        """Distort an image.

        Args:
            image: the image.
            draws: six numbers in [0, 1): for the angle, both shifts, the zoom and both shears. 0.5 is no change of all
                but the zoom.
        """
        with needs('A random view', 'torchvision', 'vision'):
            from torchvision.transforms.functional import affine
        height, width = image.shape[-2:]
        angle, right, down, zoom, *shears = draws
        return affine(image, angle=self.turn * (2 * angle - 1),
                      translate=[round(self.shift[0] * width * (2 * right - 1)),
                                 round(self.shift[1] * height * (2 * down - 1))],
                      scale=self.zoom[0] + zoom * (self.zoom[1] - self.zoom[0]),
                      shear=[most * (2 * shear - 1) for most, shear in zip(self.shear, shears, strict=True)])


@dataclass(frozen=True)
class RandomPatches:
    """Square patches of images, distorted and enlarged. Each is cut at one place for a whole batch.

    Attributes:
        count: number of patches of each image.
        side: smallest and largest side, as fractions of the image's shorter side. One call draws one side for all.
        distortion: the distortion of a patch.

    Raises:
        ConfigError: there is no patch, or `side` is not a range in (0, 1].
    """

    count: int = 32
    side: tuple[float, float] = (0.5, 0.8)
    distortion: Distortion = Distortion()

    def __post_init__(self):
        if self.count < 1:
            raise ConfigError(f'patches={self.count} asks for no patch.',
                              'Ask for at least one, or set patch_weight=0.')
        if not 0 < self.side[0] <= self.side[1] <= 1:
            raise ConfigError(f'Expected a range of fractions for patch_side, but got {tuple(self.side)}.',
                              'Give two fractions such as (0.5, 0.8).')

    def cut(self, images: Float[Tensor, 'batch image h w'],
            size: tuple[int, int]) -> Float[Tensor, 'cut image rows columns']:
        """Cut patches, the first of every sample before the second, and enlarge each to `size`."""
        height, width = images.shape[-2:]
        patches = []
        fraction, places = self.draw()
        side = max(1, int((self.side[0] + fraction * (self.side[1] - self.side[0])) * min(height, width)))
        for down, right, *draws in places:
            top, left = int(down * (height - side + 1)), int(right * (width - side + 1))
            patch = self.distortion(images[..., top:top + side, left:left + side], draws)
            patches.append(F.interpolate(patch, size, mode='bilinear'))
        return torch.cat(patches)

    def draw(self) -> tuple[float, list[list[float]]]:
        """Draw numbers in [0, 1): one for the side, and eight for each patch, for its place and its distortion."""
        return torch.rand(()).item(), torch.rand(self.count, 8).tolist()
