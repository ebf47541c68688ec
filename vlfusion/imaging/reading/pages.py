"""Pages of a file, each of which can be given where the path of an image is expected."""

import os
from dataclasses import dataclass
from pathlib import Path

from vlfusion.imaging.reading.file import read_file, unreadable
from vlfusion.imaging.reading.header import read_header
from vlfusion.imaging.reading.tiff import read_tiff_header


@dataclass(frozen=True)
class Page(os.PathLike):
    """One page of a file.

    Attributes:
        path: the file.
        number: number of the page or frame, from 1.
    """

    path: Path
    number: int

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def __str__(self) -> str:
        return f'{self.path} (page {self.number})'


def pages_of(path: str | os.PathLike) -> list[Page]:
    """Return the pages of a TIFF file or the frames of an animation, in order; one for other files.

    The pixels of TIFF files are not read.
    """
    header = None if unreadable(path) else read_tiff_header(path) or read_header(read_file(path))
    return [Page(Path(path), number) for number in range(1, (header.pages if header else 1) + 1)]
