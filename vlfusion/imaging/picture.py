"""From a network's output to a picture: output -> grey levels -> colour -> file."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped
from torch import Tensor

from vlfusion.imaging.chroma import add_chroma, add_stack_chroma
from vlfusion.imaging.georeference import Georeference
from vlfusion.imaging.images import Levels, write_image
from vlfusion.imaging.protocol import Protocol
from vlfusion.imaging.quantise import quantise
from vlfusion.imaging.registration.alignment import Alignment


@dataclass(frozen=True)
class Fused:
    """One fused pair.

    Attributes:
        name: name of the pair.
        grey: luminance `(h, w)`, uint8 or uint16.
        colour: blue-green-red `(h, w, 3)`; or `grey` again, if the colour rule gives no colour.
        colour_strength: factor of the saturation that the network gave; 1 is that of the colour rule.
        alignment: movement between the sources, if they were registered before.
    """

    name: str
    grey: Levels
    colour: Levels
    colour_strength: float = 1.
    alignment: Alignment | None = None

    def __repr__(self) -> str:
        height, width = self.grey.shape
        return f'<Fused {self.name!r}: {width}x{height}, {"in colour" if self.colour.ndim == 3 else "grey"}>'

    @property
    def rgb(self) -> Levels:
        """The colour image in red-green-blue, the order of PIL and matplotlib."""
        return self.colour[..., ::-1] if self.colour.ndim == 3 else self.colour

    def __array__(self, dtype=None, copy: bool | None = None) -> np.ndarray:
        """Give NumPy the array `rgb`."""
        return np.array(self.rgb, dtype, copy=copy)

    def save(self, path: str | os.PathLike, grey: bool = False, georeference: Georeference | None = None) -> None:
        """Write the colour image, or the grey one, in the format of the path's ending; see `write_image`."""
        write_image(path, self.grey if grey else self.colour, georeference)


def to_grey(output: Float[Tensor, '1 1 h w'], stretch: str, rounding: str, depth: int = 8) -> Levels:
    """The grey levels of a network's output for one pair.

    Args:
        output: nominally in [0, 1], on any device.
        stretch, rounding: the protocol's rules, see `vlfusion.imaging.quantise.quantise`.
        depth: 8 or 16 bits.

    Raises:
        DataError: the output holds NaN or infinity, or leaves [0, 1] under the stretch `none`.
    """
    return quantise(output, stretch, rounding, depth)[0, 0].cpu().numpy()


def make_picture(output: Float[Tensor, '1 1 h w'], image_a: Shaped[np.ndarray, 'h w ...'],
                 image_b: Shaped[np.ndarray, 'h w ...'], *, protocol: Protocol, chroma: str, name: str = '',
                 colour_strength: float = 1., depth: int = 8) -> Fused:
    """Make the picture of a pair from a network's output.

    Args:
        output: nominally in [0, 1], on any device.
        image_a: source A as `vlfusion.imaging.images.read_image` returns it.
        image_b: source B, in the same form.
        protocol: rules by which the output becomes grey levels.
        chroma: colour rule, a name in `vlfusion.registry.CHROMA_RULES`.
        name: name of the pair.
        colour_strength: factor of the saturation; it changes no grey level. See `vlfusion.models.colour_strength`.
        depth: bits of the picture, 8 or 16.

    Raises:
        DataError: the output holds NaN or infinity, or the colour strength is no factor.
        UnknownNameError: no colour rule has that name.
    """
    grey = to_grey(output, protocol.stretch, protocol.rounding, depth)
    return Fused(name, grey, add_chroma(grey, image_a, image_b, chroma, colour_strength), colour_strength)


def make_stack_picture(output: Float[Tensor, '1 1 h w'], images: Sequence, *, protocol: Protocol, chroma: str,
                       name: str = '', colour_strength: float = 1., depth: int = 8) -> Fused:
    """Make the picture of a stack from a network's output.

    Args:
        images: the sources, in the form of `vlfusion.imaging.images.read_image`; they may be read when asked for.
        output, protocol, chroma, name, colour_strength, depth: as for `make_picture`.

    Raises:
        ConfigError: the colour rule is for two sources only.
        DataError, UnknownNameError: as for `make_picture`.
    """
    grey = to_grey(output, protocol.stretch, protocol.rounding, depth)
    return Fused(name, grey, add_stack_chroma(grey, images, chroma, colour_strength), colour_strength)
