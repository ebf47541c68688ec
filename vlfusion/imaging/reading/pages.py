"""Pages of a file, each of which can be given where the path of an image is expected."""

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from vlfusion.errors import DataError
from vlfusion.imaging.reading.file import read_file
from vlfusion.imaging.reading.header import read_header
from vlfusion.imaging.reading.tiff import page_offsets, read_tiff_header


@dataclass(frozen=True)
class Page(os.PathLike):
    """One page of a file.

    Attributes:
        path: the file.
        number: number of the page or frame, from 1.
        offset: place of the page in a TIFF file in bytes, which `page_alone` takes; None if
            it is unknown.
    """

    path: Path
    number: int
    offset: int | None = field(default=None, compare=False, repr=False)

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def __str__(self) -> str:
        return f'{self.path} (page {self.number})'


def pages_of(path: str | os.PathLike) -> list[Page]:
    """Return the pages of a TIFF file or the frames of an animation, in order; one for other files.

    The pixels of TIFF files are not read.
    """
    path = Path(path)
    if len(offsets := page_offsets(path)) > 1:
        return [Page(path, number, offset) for number, offset in enumerate(offsets, 1)]
    header = read_tiff_header(path)
    with suppress(DataError):  # whoever reads the page reports a file that cannot be read
        header = header or read_header(read_file(path))
    return [Page(path, number) for number in range(1, (header.pages if header else 1) + 1)]
