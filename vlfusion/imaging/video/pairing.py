"""Pair the frames of two sequences by their times."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from vlfusion.errors import ConfigError, DataError
from vlfusion.imaging.video.frame import Frame, Frames


@dataclass
class Pairing:
    """The pairs of two sequences: frames that are each other's nearest, at most half a frame apart.

    "Half a frame" is half the mean interval of the slower sequence. The first frames of both are taken at one time,
    unless `offset` says otherwise. A sequence without times, such as a folder, pairs by number with the other.

    Attributes:
        frames_a: source A.
        frames_b: source B.
        offset: seconds by which source B began after source A; below 0 if before.
        unpaired_a: numbers of the frames of source A without a partner, complete after the last pair.
        unpaired_b: those of source B.

    Raises:
        ConfigError: there is an offset, but a sequence has no times.
    """

    frames_a: Frames
    frames_b: Frames
    offset: Fraction = Fraction(0)
    unpaired_a: list[int] = field(default_factory=list)
    unpaired_b: list[int] = field(default_factory=list)

    def __post_init__(self):
        if self.offset and self.by_number:
            raise ConfigError('Frames of a folder pair with those of a video by number, so an offset has no effect.',
                              'Give --frame-rate, such as --frame-rate 25; or leave --offset out.')

    @property
    def by_number(self) -> bool:
        """True if frames pair by number, because a sequence has no times."""
        return self.frames_a.rate is None or self.frames_b.rate is None

    @property
    def slower(self) -> Frames:
        """The sequence whose times the pairs have: the one with fewer frames a second; if equal, source A."""
        if self.by_number:
            return self.frames_b if self.frames_a.rate is None else self.frames_a
        return self.frames_a if self.frames_a.rate <= self.frames_b.rate else self.frames_b

    def shift(self, frames: Frames) -> Fraction:
        """Seconds that one of the sequences began after source A."""
        return self.offset if frames is self.frames_b else Fraction(0)

    def time(self, frame_a: Frame, frame_b: Frame) -> Fraction:
        """Time of a pair in seconds after the first frame of source A: that of the slower sequence."""
        return (frame_a if self.slower is self.frames_a else frame_b).time + self.shift(self.slower)

    @property
    def expected(self) -> int | None:
        """Number of pairs to expect, if the sequences say their lengths."""
        counts = [frames.count for frames in (self.frames_a, self.frames_b)]
        if None in counts:
            return None
        return min(counts) if self.by_number else int(self.slower.rate * min(
            count / frames.rate for count, frames in zip(counts, (self.frames_a, self.frames_b), strict=True)))

    def pairs(self) -> Iterator[tuple[Frame, Frame]]:
        """Yield the pairs in order. Reads both sequences to their ends.

        Raises:
            DataError: a frame cannot be read, or no frame has a partner.
        """
        a = _Queue(self.frames_a.read(), self.shift(self.frames_a), self.unpaired_a)
        b = _Queue(self.frames_b.read(), self.shift(self.frames_b), self.unpaired_b)
        none = True
        for pair in _by_number(a, b) if self.by_number else _by_time(a, b, 1 / self.slower.rate / 2):
            none = False
            yield pair
        for queue in (a, b):
            while queue.frame:
                queue.skip()
        if none:
            raise DataError(f'No frame of {self.frames_a.name} is within half a frame of one of {self.frames_b.name}.',
                            'Say with --offset how many seconds source B began after source A.')


class _Queue:
    """A sequence that is read one frame ahead."""

    def __init__(self, frames: Iterator[Frame], offset: Fraction, unpaired: list[int]):
        self.frames, self.offset, self.unpaired = frames, offset, unpaired
        self.frame, self.later = next(frames, None), next(frames, None)

    def take(self) -> Frame:
        frame, self.frame, self.later = self.frame, self.later, next(self.frames, None)
        return frame

    def skip(self) -> None:
        self.unpaired.append(self.take().number)

    def time(self, frame: Frame) -> Fraction:
        return frame.time + self.offset


def _by_number(a: _Queue, b: _Queue) -> Iterator[tuple[Frame, Frame]]:
    while a.frame and b.frame:
        if a.frame.number == b.frame.number:
            yield a.take(), b.take()
        else:
            (a if a.frame.number < b.frame.number else b).skip()


def _by_time(a: _Queue, b: _Queue, tolerance: Fraction) -> Iterator[tuple[Frame, Frame]]:
    while a.frame and b.frame:
        time_a, time_b = a.time(a.frame), b.time(b.frame)
        distance = abs(time_a - time_b)
        if b.later and abs(time_a - b.time(b.later)) < distance:
            b.skip()
        elif a.later and abs(a.time(a.later) - time_b) < distance:
            a.skip()
        elif distance <= tolerance:
            yield a.take(), b.take()
        else:
            (a if time_a < time_b else b).skip()
