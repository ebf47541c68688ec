"""Sequences of frames: videos, and folders of numbered pictures."""

import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import gcd
from pathlib import Path
from typing import Any

from vlfusion.console.notes import note
from vlfusion.data.pairs import as_pattern
from vlfusion.data.patterns import list_files, nothing_fits
from vlfusion.errors import ConfigError, DataError, listing
from vlfusion.imaging.images import SUFFIXES, read_image
from vlfusion.imaging.reading.rule import AS_STORED, Reading, readings_of
from vlfusion.imaging.video.file import VideoFile, is_video
from vlfusion.imaging.video.frame import Frame, Frames

Place = str | os.PathLike


@dataclass(frozen=True)
class Numbering:
    """Numbers of the pictures in folders that belong together; a number tells the time of its frame.

    Attributes:
        first: the least number in any folder.
        step: the largest step by which all numbers can be counted.
        rate: numbers of one step in a second; None if they tell no time.
    """

    first: int
    step: int
    rate: Fraction | None

    @classmethod
    def of(cls, numbers: Collection[int], rate: Fraction | None) -> 'Numbering':
        """Find the numbering of all folders.

        >>> Numbering.of([10, 20, 40], None)
        Numbering(first=10, step=10, rate=None)
        """
        first = min(numbers)
        return cls(first, gcd(*(number - first for number in numbers)) or 1, rate)

    def place(self, number: int) -> int:
        """The place of a number, from 1."""
        return (number - self.first) // self.step + 1


class NumberedPictures:
    """A folder of numbered pictures as a sequence of frames: a `vlfusion.imaging.video.frame.Frames`.

    Args:
        name: folder or pattern, for messages.
        files: the files by their numbers.
        numbering: meaning of the numbers.
        reading: rule by which the files are read.
    """

    def __init__(self, name: str, files: Mapping[int, Path], numbering: Numbering, reading: Reading = AS_STORED):
        self.name, self.files, self.numbering, self.reading = name, dict(sorted(files.items())), numbering, reading
        self.count, self.aspect = len(files), None
        places = [numbering.place(number) for number in self.files]
        step = gcd(*(place - places[0] for place in places)) or 1
        self.rate = numbering.rate and numbering.rate / step
        self.time_base = numbering.rate and 1 / numbering.rate
        if missing := (places[-1] - places[0]) // step + 1 - self.count:
            note(f'gaps of {name}', f'{name} lacks {missing} of its numbers from {min(files)} to {max(files)}.')

    def read(self) -> Iterator[Frame]:
        """Yield the frames in the order of their numbers; raises a DataError if one is damaged or of another size."""
        size = None
        for number, path in self.files.items():
            image, place = read_image(path, self.reading, for_output=True), self.numbering.place(number)
            size = size or image.shape[:2]
            if image.shape[:2] != size:
                raise DataError(f'{path} is {image.shape[1]}x{image.shape[0]}, but the frames before are '
                                f'{size[1]}x{size[0]} (width x height).', 'Give frames of one size.')
            yield Frame(place, self.time_base and (place - 1) * self.time_base, image)


def frame_rate_of(rate: float | str | Fraction | None) -> Fraction | None:
    """Read a frame rate, such as 25 or '30000/1001'; raises ConfigError if it is no number above 0."""
    try:
        exact = None if rate is None else Fraction(rate).limit_denominator(10 ** 6)
    except (ValueError, OverflowError, ZeroDivisionError):
        exact = Fraction(0)
    if exact is not None and exact <= 0:
        raise ConfigError(f'{rate!r} is no frame rate.', 'Give frames a second, such as 25 or 30000/1001.')
    return exact


def open_sequences(places: Mapping[str, Place], rate: Fraction | None = None,
                   reading: Mapping[str, Any] | None = None) -> list[Frames]:
    """Open sequences that belong together.

    Args:
        places: videos, and folders or patterns of numbered pictures, by what they are in messages, such as `source A`.
            The last number in a file's name counts; pictures with one number belong together.
        rate: numbers a second in the folders; without it, their frames pair by number with those of a video.
        reading: rules for the first two places: `range_a`, `range_b` ...

    Raises:
        DataError: a place is neither a video nor a folder or pattern; or a name has no number, or two have one number.
        ConfigError: there is no video, and no rate; or there is a rate, but no folder.
    """
    for what, place in places.items():
        if Path(place).is_file() and not is_video(place):
            raise DataError(f'{place} ({what}) is a single picture, but the other source is a video or a folder.',
                            'Give two pictures, or two sequences.')
        if not Path(place).exists() and not any(sign in str(place) for sign in '{*?['):
            raise DataError(f'No video or folder at {place} ({what}).', 'Check the path.')
    folders = {what: place for what, place in places.items() if not is_video(place)}
    if len(folders) == len(places) and rate is None:
        raise ConfigError('Folders of pictures do not say how many frames a second they hold.',
                          'Give --frame-rate, such as --frame-rate 25.')
    if rate and not folders:
        raise ConfigError('Videos say how many frames a second they hold, so --frame-rate has no effect.',
                          'Leave it out.')
    rules = [*readings_of(reading or {}), *[AS_STORED] * len(places)]
    files = {what: _numbered(what, place) for what, place in folders.items()}
    numbering = Numbering.of([number for numbers in files.values() for number in numbers] or [0], rate)
    return [NumberedPictures(str(place), files[what], numbering, rule) if what in folders else VideoFile(place, rule)
            for (what, place), rule in zip(places.items(), rules, strict=False)]


def _numbered(what: str, place: Place) -> dict[int, Path]:
    """The pictures of a folder or pattern by their numbers."""
    pattern = as_pattern(place)
    if not (found := list_files(Path(), pattern, SUFFIXES)):
        raise DataError(nothing_fits(Path(), pattern, what), 'Check the path.')
    files: dict[int, Path] = {}
    problems = []
    for file in found:
        digits = re.findall(r'\d+', file.stem)
        if not digits:
            problems.append(f'{file.path} has no number in its name')
        elif (other := files.setdefault(int(digits[-1]), file.path)) != file.path:
            problems.append(f'{other} and {file.path} have one number')
    if problems:
        raise DataError(f'The pictures of {what} are no frames:\n{listing(problems)}',
                        'Number them in the order of time, such as 00001.png.')
    return files
