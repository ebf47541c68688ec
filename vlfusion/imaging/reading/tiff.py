"""TIFF files: their pages, bands, orientation and missing values.

OpenCV decodes ordinary images, of whatever compression. It takes the first page for the whole file, the first band for
all of them, and misreads bands that are stored apart; such files are decoded by tifffile.
"""

import logging
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from jaxtyping import Shaped

from vlfusion.errors import DataError
from vlfusion.imaging.reading.header import Header, read_header, valid_orientation

_GREY, _RGB, _COLOUR, _CMYK = (0, 1), 2, (2, 3, 6, 8), 5  # photometric interpretations: see TIFF 6.0
_ALPHA = ((1,), (2,))  # values of ExtraSamples
_WHITE_IS_ZERO = 0
_PHOTOMETRIC, _ORIENTATION, _SUBIFDS, _NODATA, _DNG = 262, 274, 330, 42113, 50706
_GEO = (33550, 33922, 34264, 34735)  # scale, tie points, transformation, keys


@dataclass(frozen=True)
class Tiff:
    """A TIFF file whose header was read.

    Attributes:
        header: of the page that is to be read.
        data: the bytes of the file.
        page: that page, as tifffile has it.
    """

    header: Header
    data: bytes
    page: object

    @property
    def nodata(self) -> float | None:
        """The number that stands for a missing value, as GDAL writes it."""
        tag = self.page.tags.get(_NODATA)
        try:
            return float(str(tag.value).strip('\0 ')) if tag else None
        except ValueError:
            return None

    @property
    def for_opencv(self) -> bytes | None:
        """The file for OpenCV: the page is the first one, as it is stored. None where OpenCV would misread it."""
        page = self.page
        if page.dtype == np.float16 or self.header.colour == 'multi-band' or page.imagedepth > 1 or (
                self.header.bands == 2 or self.header.bands > 1 and page.planarconfig == 2):
            return None
        patches = []
        size = 8 if page.parent.is_bigtiff else 4  # of an offset; that of the first page stands as far into the file
        if int.from_bytes(self.data[size:2 * size], self._order) != page.offset:
            patches.append((size, page.offset.to_bytes(size, self._order)))
        if self.header.orientation != 1:  # OpenCV fails at some orientations and ignores others
            patches.append(self._short(_ORIENTATION, 1))
        if self.white_is_zero:  # OpenCV heeds it for 8 bits only
            patches.append(self._short(_PHOTOMETRIC, 1))
        if not patches:
            return self.data
        changed = bytearray(self.data)
        for place, value in patches:
            changed[place:place + len(value)] = value
        return bytes(changed)

    @property
    def is_whole(self) -> bool:
        """True if the page is grey or RGB and all its strips or tiles lie in the file."""
        places = zip(self.page.dataoffsets, self.page.databytecounts, strict=True)
        return self.page.photometric in (*_GREY, _RGB) and all(
            offset and count and offset + count <= len(self.data) for offset, count in places)

    @property
    def white_is_zero(self) -> bool:
        """Tell whether the values are those of a negative."""
        return self.page.photometric == _WHITE_IS_ZERO and self.page.dtype is not None and self.page.dtype.kind == 'u'

    @property
    def _order(self) -> str:
        return 'little' if self.page.parent.byteorder == '<' else 'big'

    def _short(self, code: int, value: int) -> tuple[int, bytes]:
        """The place of a tag that holds one number of two bytes, and the bytes of another number."""
        return self.page.tags[code].valueoffset, value.to_bytes(2, self._order)

    def decode(self, path: object) -> Shaped[np.ndarray, 'h w band']:
        """All bands of the page, in the order of the file.

        Raises:
            DataError: it takes a package that is not installed, or the file is damaged.
        """
        try:
            image = self.page.asarray()
        except Exception as error:
            if 'imagecodecs' in str(error):
                raise DataError(f'{path} is compressed as {self.page.compression.name}; '
                                'reading it takes the package imagecodecs.', "pip install 'vlfusion[tiff]'") from error
            raise DataError(f'Cannot decode {path} as an image; it holds {len(self.data)} bytes: {error}.',
                            'The file may be damaged; copy it again or take it out of the folder.') from error
        if image.ndim > 2 and self.page.planarconfig == 2:
            image = np.moveaxis(image, 0, -1)
        return image.reshape(self.header.height, self.header.width, -1)


def read_tiff(data: bytes, number: int | None = None) -> Tiff | None:
    """Read the header of a TIFF file.

    Args:
        data: its bytes.
        number: the page, from 1; by default the first.

    Returns:
        None where the file is no TIFF file, or so damaged that it has no page.

    Raises:
        IndexError: there is no such page.
    """
    if data[:4] not in (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+'):
        return None
    import tifffile
    logging.getLogger('tifffile').setLevel(logging.CRITICAL)  # what is wrong with a file is said by whoever reads it
    try:
        pages = list(tifffile.TiffFile(BytesIO(data)).pages)
    except Exception:
        return None
    whole = [page for page in pages if not (page.is_reduced or page.is_mask)]
    if not pages:
        return None
    page = (whole or pages)[(number or 1) - 1]
    raw = _DNG in page.tags or not whole and _SUBIFDS in page.tags or data[8:10] == b'CR'
    tag = page.tags.get(_ORIENTATION)
    header = Header(
        page.imagewidth, page.imagelength, page.samplesperpixel, max(len(whole), 1) * max(page.imagedepth, 1),
        valid_orientation(tag and tag.value), 'raw' if raw else _colour(page),
        any(code in page.tags for code in _GEO))
    return Tiff(header, data, page)


def orientation_of(data: bytes, number: int | None = None) -> int:
    """The orientation of an image by the bytes of its file, of any format; 1 where nothing says another.

    Args:
        data: the bytes.
        number: the page, as for `read_tiff`.
    """
    try:
        tiff = read_tiff(data, number)
    except IndexError:
        return 1
    header = tiff.header if tiff else read_header(data)
    return header.orientation if header else 1


def _colour(page: object) -> str:
    """The meaning of a page's bands where they are not grey or colour, with or without alpha."""
    if page.photometric == _CMYK:
        return 'CMYK'
    colours = 1 if page.photometric in _GREY or page.photometric == 3 else 3
    extra = page.samplesperpixel - colours
    # Writers that leave the tag out mean alpha, OpenCV among them.
    alpha = extra == 1 and (not page.extrasamples and colours == 3 or tuple(page.extrasamples) in _ALPHA)
    known = page.photometric in (*_GREY, *_COLOUR)
    return '' if known and (extra == 0 or alpha) else 'multi-band'
