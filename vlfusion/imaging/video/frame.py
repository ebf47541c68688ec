"""A frame, and a sequence of frames: a video file, or a folder of numbered pictures."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Shaped


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
    """

    name: str
    rate: Fraction | None
    time_base: Fraction | None
    count: int | None

    def read(self) -> Iterator[Frame]:
        """Yield the frames in the order of their times; raises a DataError at a damaged one."""
