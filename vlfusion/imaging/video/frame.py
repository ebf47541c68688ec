"""A frame, and a sequence of frames: a video file, or a folder of numbered pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Shaped

from vlfusion.errors import DataError

#: Factor between the shapes of pixels up to which they count as equal, because some formats round them.
_ROUNDED = 1.005


@dataclass(frozen=True)
class Frame:
    """One picture of a sequence.

    Attributes:
        number: its place in the sequence, from 1.
        time: seconds since the first frame; None if the sequence has no times.
        image: in OpenCV's form, as `vlfusion.imaging.images.read_image` returns it.
    """

    number: int
    time: Fraction | None
    image: Shaped[np.ndarray, 'h w ...']


@runtime_checkable
class Frames(Protocol):
    """A sequence of frames.

    Attributes:
        name: path for messages.
        rate: frames a second in the mean; None if the sequence has no times.
        time_base: unit of the times in seconds; None if the sequence has no times.
        count: number of frames, if it is known before they are read; some formats give an estimate.
        aspect: width of an upright pixel over its height; None if the sequence does not say.
    """

    name: str
    rate: Fraction | None
    time_base: Fraction | None
    count: int | None
    aspect: Fraction | None

    def read(self) -> Iterator[Frame]:
        """Yield the frames in the order of their times; raises a DataError at a damaged one."""


def common_aspect(sequences: Sequence[Frames]) -> Fraction:
    """Return the shape of the pixels of sequences, width over height, which is that of the first that says it; else 1.

    Raises:
        DataError: two sequences have pixels of different shape.
    """
    known = [frames for frames in sequences if frames.aspect is not None]
    for other in known[1:]:
        factor = other.aspect / known[0].aspect
        if max(factor, 1 / factor) > _ROUNDED:
            shapes = ', '.join(f'those of {frames.name} are {frames.aspect.numerator}:{frames.aspect.denominator}'
                               for frames in (known[0], other))
            raise DataError(f'The pixels differ in shape (width to height): {shapes}.',
                            'Make them square first: ffmpeg -i VIDEO -vf scale=iw*sar:ih,setsar=1 NEW')
    return known[0].aspect if known else Fraction(1)
