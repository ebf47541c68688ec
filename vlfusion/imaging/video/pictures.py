"""Write frames as numbered pictures into a folder."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from vlfusion.console.notes import note
from vlfusion.errors import DataError
from vlfusion.files import is_empty, whole_folder
from vlfusion.imaging.images import SUFFIXES, Levels, check_ending, write_image

#: Part of a frame by which a time may differ from that of its number, before a note says that times are irregular.
_IRREGULAR = Fraction(1, 10)


@dataclass(frozen=True)
class NumberedNames:
    """A folder, and the pattern of the names of pictures in it.

    Attributes:
        folder: the folder.
        pattern: name of a picture with FFmpeg's placeholder of its number, such as `%05d.png`.
    """

    folder: Path
    pattern: str

    def check(self, depth: int = 8) -> None:
        """Refuse a folder that cannot be written, before any work.

        Raises:
            DataError: it holds files, or no image with so many bits has this ending.
        """
        if self.folder.is_file() or self.folder.is_dir() and not is_empty(self.folder):
            raise DataError(f'{self.folder} exists; frames are written to a new folder.', 'Choose another --out.')
        check_ending(self.folder / (self.pattern % 1), depth)


def numbered_names(out: str | os.PathLike, suffix: str | None = None) -> NumberedNames | None:
    """Read an output as a folder of numbered pictures; None if it is another file, such as a video.

    >>> [numbered_names(*out).pattern for out in (('frames/',), ('frames', 'tif'), ('frames/f_%04d.png',))]
    ['%05d.png', '%05d.tif', 'f_%04d.png']
    >>> numbered_names('fused.mp4')

    Args:
        out: a folder, or a pattern of pictures in a folder.
        suffix: ending of the pictures in a folder; by default `.png`.

    Raises:
        DataError: `out` is a single picture, a pattern with a second `%`, or a pattern beside `suffix`.
    """
    path = Path(out)
    if str(out).endswith(('/', os.sep)) or path.is_dir() or not path.suffix:
        return NumberedNames(path, f'%05d.{(suffix or ".png").removeprefix(".")}')
    if path.suffix.lower() not in SUFFIXES:
        return None
    numbers = re.findall(r'%(?:0\d+)?d', path.name)
    if numbers and path.name.count('%') > 1:
        raise DataError(f'{path.name} has more than one %, but a pattern has only that of the number.',
                        f'Leave the others out, as in {path.parent / "frame_%05d"}{path.suffix}.')
    if not numbers:
        raise DataError(f'{out} is one picture, but there are many frames.',
                        'Give a folder, such as frames/, or a pattern, such as frames/%05d.png.')
    if suffix:
        raise DataError(f'{out} has an ending, so the suffix {suffix} has no effect.', 'Leave it out.')
    return NumberedNames(path.parent, path.name)


@contextmanager
def write_frames(names: NumberedNames, rate: Fraction) -> Iterator['FramesWriter']:
    """Yield a writer of numbered pictures. Their folder gets its name when it is complete.

    A picture's number says its time: 1 plus the seconds after the first frame times `rate`, rounded, and at least one
    more than the number before. So a missing number is a gap, as when such folders are read.

    Raises:
        OSError: a file cannot be written.
    """
    with whole_folder(names.folder) as folder:
        yield FramesWriter(NumberedNames(folder, names.pattern), rate)


class FramesWriter:
    """Numbered pictures in the making, see `write_frames`."""

    def __init__(self, names: NumberedNames, rate: Fraction):
        self.names, self.rate, self.number, self.last = names, rate, 0, Fraction(0)

    def write(self, image: Levels, time: Fraction) -> None:
        """Write a frame.

        Args:
            image: grey or blue-green-red, 8 or 16 bits.
            time: seconds after the first frame, later than the frame before.
        """
        self.number, self.last = max(1 + round(time * self.rate), self.number + 1), time
        if abs(time * self.rate + 1 - self.number) > _IRREGULAR:
            note('irregular', f'The times of the frames are irregular. The number of a picture gives the nearest of '
                              f'{float(self.rate):.6g} frames a second.')
        write_image(self.names.folder / (self.names.pattern % self.number), image)
