"""The fusion control module: it weighs the encoder's maps of two sources at each value.

All maps of a source are written side by side as planes of the full image size. A coarse map becomes fewer planes: its
values are read in memory order, `(dim, h/8, w/8)` as `(dim/64, h, w)`. So a plane of a coarse map is no picture of the
scene, and the 3x3 convolutions there mix values of distant places. The released weights have learned that order.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

from vlfusion.models.layers.cbam import CBAM
from vlfusion_textdifuse.unet import Maps, skip_channels


class FusionControl(nn.Module):
    """Fuse the encoder's maps of two sources: `weight_a * A + weight_b * B`, with weights in (0, 1).

    It works on all planes at full resolution, so it takes most of the memory and time of the whole network.

    Args:
        planes: number of planes, see `plane_count`.
        groups: groups of the normalisations; must divide `planes`.
    """

    def __init__(self, planes: int, groups: int):
        super().__init__()
        self.mix = nn.Conv2d(2 * planes, planes, 3, padding=1)
        self.shared = nn.Sequential(_block(planes, groups), CBAM(planes))
        self.weight_a, self.weight_b = (
            nn.Sequential(_block(planes, groups), CBAM(planes), _block(planes, groups), nn.Sigmoid()) for _ in range(2))

    def forward(self, maps_a: Sequence[Maps], maps_b: Sequence[Maps]) -> list[Maps]:
        a, b = as_planes(maps_a), as_planes(maps_b)
        shared = self.shared(self.mix(torch.cat((a, b), 1)))
        return from_planes(self.weight_b(shared) * b + self.weight_a(shared) * a, maps_a)


def _block(planes: int, groups: int) -> nn.Sequential:
    return nn.Sequential(nn.GroupNorm(groups, planes), nn.SiLU(), nn.Conv2d(planes, planes, 3, padding=1))


def as_planes(maps: Sequence[Maps]) -> Float[Tensor, 'batch plane h w']:
    """Write maps side by side as planes of full size, from coarse to fine, and last the coarsest: the middle.

    Channels of ones are added to a map that does not fill its last plane.
    """
    *skips, middle = maps
    full = maps[0].shape[2:]
    planes = []
    for x in (*reversed(skips), middle):
        ratio = _ratio(x, maps[0])
        x = pad(x, (0, 0, 0, 0, 0, -x.shape[1] % ratio), value=1.)
        planes.append(x.reshape(len(x), -1, *full))
    return torch.cat(planes, 1)


def from_planes(planes: Float[Tensor, 'batch plane h w'], like: Sequence[Maps]) -> list[Maps]:
    """Read maps of the shapes of `like` from planes; the inverse of `as_planes`."""
    *skips, middle = like
    shapes = [(x.shape, math.ceil(x.shape[1] / _ratio(x, like[0]))) for x in (*reversed(skips), middle)]
    parts = planes.split([count for _, count in shapes], 1)
    *coarse_first, middle = (part.reshape(len(part), -1, *shape[2:])[:, :shape[1]]
                             for part, (shape, _) in zip(parts, shapes, strict=True))
    return [*reversed(coarse_first), middle]


def plane_count(dim: int, widths: Sequence[int], blocks: int) -> int:
    """Count the planes of an encoder's maps.

    >>> plane_count(128, (1, 1, 2, 3, 4), 2)
    544
    """
    counts = [math.ceil(channels / 4**(index // (blocks + 1)))
              for index, channels in enumerate(skip_channels(dim, widths, blocks))]
    return sum(counts) + counts[-1]


def _ratio(x: Maps, full: Maps) -> int:
    """Count the pixels of the full size for each pixel of a map."""
    return full.shape[2] // x.shape[2] * (full.shape[3] // x.shape[3])
