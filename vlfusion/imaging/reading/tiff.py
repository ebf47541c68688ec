"""TIFF files: pages, bands, orientation and missing values.

OpenCV decodes ordinary files. It reads only the first page, and it misreads multi-band files and bands that are stored
apart. These files are decoded by tifffile.
"""

import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedIOBase, BytesIO
from itertools import accumulate
from struct import pack
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Shaped

from vlfusion.errors import DataError
from vlfusion.imaging.reading.file import unreadable
from vlfusion.imaging.reading.header import Header, read_header, valid_orientation

if TYPE_CHECKING:
    from tifffile import TiffFile

_GREY, _RGB, _COLOUR, _CMYK = (0, 1), 2, (2, 3, 6, 8), 5  # photometric interpretations: see TIFF 6.0
_ALPHA = ((1,), (2,))  # values of ExtraSamples
_WHITE_IS_ZERO = 0
_PHOTOMETRIC, _ORIENTATION, _SUBIFDS, _NODATA, _DNG = 262, 274, 330, 42113, 50706
_OFFSETS, _COUNTS = (273, 324), (279, 325)  # of strips and of tiles
#: Tags that point to other parts of a file: further directories, and JPEG data of the abandoned kind.
_ELSEWHERE = (_SUBIFDS, 34665, 34853, 40965, 513, 514)
_OLD_JPEG = 6
_STARTS = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')
_GEO = (33550, 33922, 34264, 34735)  # scale, tie points, transformation, keys


@dataclass(frozen=True)
class Tiff:
    """A TIFF file whose header was read.

    Attributes:
        header: header of the page to read.
        data: bytes of the file.
        page: the page to read, as tifffile represents it.
    """

    header: Header
    data: bytes
    page: object

    @property
    def nodata(self) -> float | None:
        """The number that marks a missing value, as GDAL writes it; None if there is no such tag."""
        tag = self.page.tags.get(_NODATA)
        try:
            return float(str(tag.value).strip('\0 ')) if tag else None
        except ValueError:
            return None

    @property
    def for_opencv(self) -> bytes | None:
        """The file patched for OpenCV: the page comes first, as it is stored. None if OpenCV would misread it."""
        page = self.page
        if page.dtype == np.float16 or self.header.colour == 'multi-band' or page.imagedepth > 1 or (
                self.header.bands == 2 or self.header.bands > 1 and page.planarconfig == 2):
            return None
        patches = []
        size = 8 if page.parent.is_bigtiff else 4  # bytes of an offset; the first page's offset also starts there
        if int.from_bytes(self.data[size:2 * size], self._order) != page.offset:
            patches.append((size, page.offset.to_bytes(size, self._order)))
        if self.header.orientation != 1:  # OpenCV fails at some orientations and ignores others
            patches.append(self._short(_ORIENTATION, 1))
        if self.white_is_zero:  # OpenCV inverts 8-bit images only
            patches.append(self._short(_PHOTOMETRIC, 1))
        if not patches:
            return self.data
        patched = bytearray(self.data)
        for offset, value in patches:
            patched[offset:offset + len(value)] = value
        return bytes(patched)

    @property
    def is_whole(self) -> bool:
        """True if the page is grey or RGB and the file holds all its strips or tiles."""
        segments = zip(self.page.dataoffsets, self.page.databytecounts, strict=True)
        return self.page.photometric in (*_GREY, _RGB) and all(
            offset and count and offset + count <= len(self.data) for offset, count in segments)

    @property
    def white_is_zero(self) -> bool:
        """True if the image is stored as a negative."""
        return self.page.photometric == _WHITE_IS_ZERO and self.page.dtype is not None and self.page.dtype.kind == 'u'

    @property
    def _order(self) -> str:
        return 'little' if self.page.parent.byteorder == '<' else 'big'

    def _short(self, code: int, value: int) -> tuple[int, bytes]:
        """A patch of a tag that holds one number of two bytes: the offset of its value, and the new bytes."""
        return self.page.tags[code].valueoffset, value.to_bytes(2, self._order)

    def decode(self, path: object) -> Shaped[np.ndarray, 'h w band']:
        """Decode all bands of the page, in the order of the file.

        Raises:
            DataError: a package for the compression is missing, or the file is damaged.
        """
        try:
            image = self.page.asarray()
        except Exception as error:
            if 'imagecodecs' in str(error):
                raise DataError(f'{path} is compressed as {self.page.compression.name}; '
                                'reading it needs the package imagecodecs.', "pip install 'vlfusion[tiff]'") from error
            raise DataError(f'Cannot decode {path} as an image; it holds {len(self.data)} bytes: {error}.',
                            'The file may be damaged; copy it again or take it out of the folder.') from error
        if image.ndim > 2 and self.page.planarconfig == 2:
            image = np.moveaxis(image, 0, -1)
        return image.reshape(self.header.height, self.header.width, -1)


def read_tiff(data: bytes, number: int | None = None) -> Tiff | None:
    """Read the header of a TIFF file.

    Args:
        data: bytes of the file.
        number: number of the page, from 1; by default the first.

    Returns:
        The file; None if it is not TIFF, or so damaged that no page can be read.

    Raises:
        IndexError: the file has no page of that number.
    """
    chosen = _choose(BytesIO(data), number)
    return chosen and Tiff(chosen[0], data, chosen[1])


def read_tiff_header(path: str | os.PathLike) -> Header | None:
    """Read the header of a TIFF file's first page, and no pixels; None as for `read_tiff`, or if it cannot be opened.

    Nothing is raised, so that the reading of the pixels reports the file.
    """
    if unreadable(path):
        return None
    with suppress(OSError), open(path, 'rb') as file:
        chosen = _choose(file)
        return chosen and chosen[0]
    return None


def page_offsets(path: str | os.PathLike) -> list[int]:
    """Return the place of each page of a TIFF file in bytes, without smaller copies.

    With its place, `page_alone` finds a page without reading the directories of the others. The list is empty if the
    file is not TIFF, or its pages can only be read together.
    """
    if unreadable(path):
        return []
    with suppress(OSError), open(path, 'rb') as file:
        pages = _pages(file)
        # tifffile corrects the directories of these microscopes by each other
        if pages and not (pages[0].parent.is_lsm or pages[0].parent.is_ndpi or pages[0].parent.is_scanimage):
            return [page.offset for page in pages if not _is_copy(page)]
    return []


def page_alone(path: str | os.PathLike, number: int, page_offset: int | None = None) -> bytes | None:
    """Read one page of a file with several, as the bytes of a TIFF file that holds this page alone.

    Memory then depends on the page, not on the file.

    Args:
        path: the file.
        number: number of the page, from 1.
        page_offset: its place, one of several `page_offsets`.

    Returns:
        The bytes; None if the file is not TIFF, has one page, cannot be opened, or is so unusual that it must be read
        whole.

    Raises:
        IndexError: the file has no page of that number.
    """
    with suppress(OSError), open(path, 'rb') as file:
        chosen = _choose(file, number) if page_offset is None else _at(file, page_offset)
        if chosen is None or page_offset is None and chosen[0].pages == 1:
            return None
        header, page = chosen
        if header.colour == 'raw' or page.compression == _OLD_JPEG:
            return None
        form = page.parent.tiff
        wide = form.offsetsize == 8  # BigTIFF
        integer, dtype = form.byteorder + 'IQ'[wide], (4, 16)[wide]  # LONG or LONG8

        def read(offset: int, size: int) -> bytes:
            file.seek(offset)
            return file.read(size)

        counts = [count if offset else 0 for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
        tags = {tag.code: [int(tag.dtype), tag.count, read(tag.valueoffset, tag.valuebytecount)]
                for tag in sorted(page.tags, key=lambda tag: tag.code) if tag.code not in _ELSEWHERE}
        for code in {*_OFFSETS, *_COUNTS} & tags.keys():
            tags[code] = [dtype, len(counts), bytes(len(counts) * form.offsetsize)]
        start = 16 if wide else 8
        beside = start + form.tagnosize + len(tags) * form.tagsize + form.offsetsize  # where long values begin
        segments = beside + sum(len(value) for *_, value in tags.values() if len(value) > form.offsetsize)
        places = [place if count else 0 for place, count in zip(
            accumulate(counts, initial=segments), counts, strict=False)]
        for code in tags.keys() & _OFFSETS:
            tags[code][2] = b''.join(pack(integer, place) for place in places)
        for code in tags.keys() & _COUNTS:
            tags[code][2] = b''.join(pack(integer, count) for count in counts)
        directory, values = [pack(form.byteorder + form.tagnoformat[-1], len(tags))], []
        for code, (kind, count, value) in tags.items():
            if len(value) > form.offsetsize:
                values.append(value)
                value, beside = pack(integer, beside), beside + len(value)
            directory.append(pack(f'{form.byteorder}HH', code, kind) + pack(integer, count)
                             + value.ljust(form.offsetsize, b'\0'))
        parts = [read(0, start - form.offsetsize), pack(integer, start), *directory, pack(integer, 0), *values]
        for offset, count in zip(page.dataoffsets, counts, strict=True):
            parts.append(read(offset, count))
            if len(parts[-1]) < count:  # the file is cut off, and so is the result
                break
        return b''.join(parts)
    return None


def _choose(file: BufferedIOBase, number: int | None = None) -> tuple[Header, object] | None:
    """The header of a page and the page, as for `read_tiff`."""
    pages = _pages(file)
    if not pages:
        return None
    whole = [page for page in pages if not _is_copy(page)]
    page = (whole or pages)[(number or 1) - 1]
    return _header(file, page, len(whole)), page


def _at(file: BufferedIOBase, offset: int) -> tuple[Header, object] | None:
    """The header of the page at a place and the page, without a search; None if there is none."""
    import tifffile
    try:
        tiff = _open(file)
        tiff.filehandle.seek(offset)
        page = tifffile.TiffPage(tiff, index=0)
    except Exception:
        return None
    return _header(file, page, 1), page


def _open(file: BufferedIOBase) -> 'TiffFile':
    import tifffile
    logging.getLogger('tifffile').setLevel(logging.CRITICAL)  # callers raise errors that name the file
    file.seek(0)
    return tifffile.TiffFile(file)


def _pages(file: BufferedIOBase) -> list:
    """All pages of a file, as tifffile represents them; none if it is not TIFF or damaged."""
    if file.read(4) not in _STARTS:
        return []
    try:
        return list(_open(file).pages)
    except Exception:
        return []


def _is_copy(page: object) -> bool:
    """Tell whether a page is a smaller copy or a mask of another."""
    return bool(page.is_reduced or page.is_mask)


def _header(file: BufferedIOBase, page: object, whole: int) -> Header:
    """The header of a page of a file with so many pages that are no copies."""
    file.seek(8)
    raw = _DNG in page.tags or not whole and _SUBIFDS in page.tags or file.read(2) == b'CR'
    tag = page.tags.get(_ORIENTATION)
    return Header(
        page.imagewidth, page.imagelength, page.samplesperpixel, max(whole, 1), valid_orientation(tag and tag.value),
        'raw' if raw else _colour(page), any(code in page.tags for code in _GEO), max(page.imagedepth, 1))


def orientation_of(data: bytes, number: int | None = None) -> int:
    """The EXIF orientation of an image file of any format; 1 if the file does not state it.

    Args:
        data: bytes of the file.
        number: number of the page, as for `read_tiff`.
    """
    try:
        tiff = read_tiff(data, number)
    except IndexError:
        return 1
    header = tiff.header if tiff else read_header(data)
    return header.orientation if header else 1


def _colour(page: object) -> str:
    """Meaning of a page's bands; empty for grey or colour, with or without alpha."""
    if page.photometric == _CMYK:
        return 'CMYK'
    colours = 1 if page.photometric in _GREY or page.photometric == 3 else 3
    extra = page.samplesperpixel - colours
    # Writers that leave the tag out, such as OpenCV, mean alpha.
    alpha = extra == 1 and (not page.extrasamples and colours == 3 or tuple(page.extrasamples) in _ALPHA)
    supported = page.photometric in (*_GREY, *_COLOUR)
    return '' if supported and (extra == 0 or alpha) else 'multi-band'
