"""Headers of image files, read before pixels are decoded: size, bands, pages, orientation."""

import warnings
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from struct import unpack_from

from PIL.GifImagePlugin import GifImageFile
from PIL.Image import Exif
from PIL.ImageFile import ImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

#: Formats that are read by Pillow, by their first bytes. `PIL.Image.open` chooses the same classes, but it warns about
#: large images and refuses larger ones.
FORMATS: dict[bytes, type[ImageFile]] = {
    b'\xff\xd8\xff': JpegImageFile, b'\x89PNG': PngImageFile, b'GIF8': GifImageFile, b'RIFF': WebPImageFile,
    b'\0\0\0\x0cjP': Jpeg2KImageFile, b'\xff\x4f\xff\x51': Jpeg2KImageFile}
_ORIENTATION = 0x0112

warnings.filterwarnings('ignore', 'Corrupt EXIF data')  # `_orientation` ignores damaged metadata


@dataclass(frozen=True)
class Header:
    """Facts that a file states about its image.

    Attributes:
        width: width in pixels, as stored.
        height: height in pixels, as stored.
        bands: samples of a pixel, alpha included.
        pages: number of images in the file, without smaller copies.
        orientation: EXIF orientation of the stored image, 1 to 8.
        colour: meaning of the bands if they are not grey, red, green, blue or alpha: `CMYK` or `multi-band`; or `raw`
            for the preview in a camera's raw file.
        georeferenced: whether the file says where on earth the image lies.
        planes: number of planes of the image; more than 1 in a volume.
    """

    width: int
    height: int
    bands: int = 1
    pages: int = 1
    orientation: int = 1
    colour: str = ''
    georeferenced: bool = False
    planes: int = 1


def open_image(data: bytes) -> ImageFile | None:
    """Open a file in Pillow, which reads the header only; None if the format is not in `FORMATS` or AVIF, or damaged.

    TIFF files have their own module, `vlfusion.imaging.reading.tiff`.
    """
    with suppress(Exception):  # for a damaged header the decoder raises the error
        if data[4:12] in (b'ftypavif', b'ftypavis'):
            from PIL.AvifImagePlugin import AvifImageFile
            return AvifImageFile(BytesIO(data))
        for start, factory in FORMATS.items():
            if data.startswith(start):
                return factory(BytesIO(data))
    return None


def read_header(data: bytes) -> Header | None:
    """Read the header of a file that is not TIFF; None if the format is unknown or the header is damaged."""
    image = open_image(data)
    if image is None:
        return None
    bands, colour = len(image.getbands()), 'CMYK' if image.mode == 'CMYK' else ''
    if isinstance(image, Jpeg2KImageFile):
        bands, colour = _bands_of_jpeg2000(data, bands, colour)
    pages = 1
    with suppress(Exception):
        pages = getattr(image, 'n_frames', 1)
    return Header(*image.size, bands, pages, _orientation(image, data), colour)


def _orientation(image: ImageFile, data: bytes) -> int:
    exif = image.info.get('exif') or (_exif_of_png(data) if isinstance(image, PngImageFile) else None)
    if exif:
        with suppress(Exception):  # damaged metadata are ignored
            tags = Exif()
            tags.load(exif)
            return valid_orientation(tags.get(_ORIENTATION))
    return 1


def valid_orientation(value: object) -> int:
    """The orientation, or 1 if the value is not an EXIF orientation."""
    return value if value in range(1, 9) else 1


def _exif_of_png(data: bytes) -> bytes | None:
    """The chunk of EXIF metadata. Pillow finds it only before the pixels, but it may follow them."""
    offset = 8
    while offset + 8 <= len(data):
        length, chunk = unpack_from('>I4s', data, offset)
        if chunk == b'eXIf':
            return data[offset + 8:offset + 8 + length]
        offset += length + 12
    return None


def _bands_of_jpeg2000(data: bytes, bands: int, colour: str) -> tuple[int, str]:
    """Number and meaning of the bands, from the codestream; Pillow takes any fourth band for alpha."""
    start = data.find(b'\xff\x4f\xff\x51')
    if start >= 0 and start + 42 <= len(data):
        bands, = unpack_from('>H', data, start + 40)
    alpha = b'cdef' in data[:max(start, 0)]
    return bands, colour or ('multi-band' if bands not in (1, 3) and not (alpha and bands in (2, 4)) else '')
