"""From a file to an array: training, fusing, scoring, describing and reporting read images here."""

import os
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO

import cv2
import numpy as np
from jaxtyping import Shaped
from PIL.JpegImagePlugin import JpegImageFile

from vlfusion.console.notes import note
from vlfusion.errors import DataError
from vlfusion.imaging.reading.file import TWO_PICTURES, identify, read_file, unreadable
from vlfusion.imaging.reading.header import Header, open_image, read_header
from vlfusion.imaging.reading.pages import Page
from vlfusion.imaging.reading.rule import AS_STORED, GIVE_RANGE, Reading, rescale
from vlfusion.imaging.reading.tiff import Tiff, page_alone, read_tiff
from vlfusion.system.memory import free_memory

if 'OPENCV_LOG_LEVEL' not in os.environ:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # the errors and notes here name the file

#: Endings of 8- and 16-bit images. Each has an ending that OpenCV can write if it reads the format; builds differ.
_ENDINGS = {ending: ending for ending in (
    '.bmp', '.dib', '.jpeg', '.jpg', '.jpe', '.png', '.ppm', '.pgm', '.pbm', '.pnm', '.tif', '.tiff', '.webp', '.jp2',
    '.avif', '.gif', '.ras', '.sr')} | {'.jfif': '.jpg', '.j2k': '.jp2', '.apng': '.png'}
#: Endings that count as images, in lower case.
SUFFIXES = tuple(ending for ending, written in _ENDINGS.items() if cv2.haveImageWriter(f'x{written}'))
#: Endings of images of floating-point numbers. They count as images if a range is given.
FLOAT_SUFFIXES = tuple(ending for ending in ('.hdr', '.pfm', '.exr') if cv2.haveImageWriter(f'x{ending}'))

#: Remedy for a file that cannot be decoded, for an unknown reason.
DAMAGED = 'The file may be damaged or of another format; copy it again or take it out of the folder.'
_CHOOSE = ('with --{0}-a or --{0}-b on the command line, {0}_a=... or {0}_b=... in a data set, '
           'Reading.of({0}=...) in Python.')
_MOST_PIXELS = int(os.environ.get('OPENCV_IO_MAX_IMAGE_PIXELS', 1 << 30))
_LONGEST = int(os.environ.get('OPENCV_IO_MAX_IMAGE_WIDTH', 1 << 20))
#: Bytes per pixel that reading and luminance need.
_BYTES = 8
#: Images with fewer pixels are read without a check of the free memory.
_SMALL = 1 << 24


def read_image(path: str | os.PathLike, reading: Reading = AS_STORED,
               for_output: bool = False, depth: int = 8) -> Shaped[np.ndarray, 'h w *bgr']:
    """Read an image file: 8- or 16-bit, grey `(h, w)` or colour `(h, w, 3)`, upright as EXIF says, without alpha.

        image = vlfusion.read_image('street.png')  # blue-green-red, if it has colour

    Args:
        path: a regular file, or a `vlfusion.imaging.reading.pages.Page` of one.
        reading: choice of page and bands, and the values that are black and white. With a range, the image has 16 bits;
            without, it is as stored.
        for_output: note what the fused image loses from this source: transparency, bits, georeference.
        depth: bits of that fused image.

    Raises:
        DataError: the file is absent, not an image, truncated or too large for memory; or the reading lacks a choice of
            page (for several pages), of bands (for other bands than grey or colour), or a range (for values other than
            8- or 16-bit).
    """
    offset = None
    if isinstance(path, Page):
        if reading.page:
            raise DataError(f'Page {reading.page} was chosen of {path}.', 'Leave the choice of a page out.')
        reading, offset = replace(reading, page=path.number), path.offset
    try:
        alone = None if reading.page is None or unreadable(path) else page_alone(path, reading.page, offset)
        data = alone or read_file(path)
        if alone:
            reading = replace(reading, page=None)
        tiff = read_tiff(data, reading.page)
    except IndexError as error:
        raise _no_such_page(path, reading) from error
    header = tiff.header if tiff else read_header(data)
    if header:
        _check_limits(path, header)
        _check_content(path, header, reading)
    image = _decode(path, data, header, tiff, reading)
    if image is None:
        raise _not_an_image(path, data)
    if not header and (reading.page or 1) > 1:
        raise _no_such_page(path, reading)
    if header and header.orientation != 1:
        image = upright(image, header.orientation)
    if for_output:
        _note_alpha(path, image, reading)
    image = _choose_bands(path, image, reading)
    levels = _within_range(path, image, tiff, reading)
    if for_output:
        _note_losses(path, image, header, depth)
    return levels


def upright(image: Shaped[np.ndarray, 'h w ...'], orientation: int) -> Shaped[np.ndarray, '_ _ ...']:
    """Turn and mirror a stored image to be upright, by its EXIF orientation (1: it is upright)."""
    if orientation >= 5:
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)


def _check_limits(path: object, header: Header) -> None:
    """Raise a DataError if the decoder refuses images of this size, or the memory cannot hold it."""
    pixels, size = header.width * header.height, f'{path} has {header.width}x{header.height} pixels'
    if pixels > _MOST_PIXELS or max(header.width, header.height) > _LONGEST:
        raise DataError(f'{size}; the limit is {_MOST_PIXELS} pixels, and {_LONGEST} in a row or column.',
                        'Cut the image into parts. If the memory is enough, you can instead set '
                        'OPENCV_IO_MAX_IMAGE_PIXELS, OPENCV_IO_MAX_IMAGE_WIDTH and OPENCV_IO_MAX_IMAGE_HEIGHT.')
    free = free_memory() if pixels > _SMALL else None
    if free is not None and pixels * _BYTES > free:
        raise too_large(path, (header.height, header.width), free)


def too_large(path: object, shape: Sequence[int], free: int | None = None) -> DataError:
    """The error of an image that does not fit into memory.

    Args:
        path: file of the image.
        shape: height and width, and perhaps bands; empty if unknown.
        free: free memory in bytes, if known.
    """
    need = shape and f', about {shape[0] * shape[1] * _BYTES / 2 ** 30:.1f} GiB'
    size = f'{shape[1]}x{shape[0]} pixels{need}' if shape else 'pixels'
    left = '' if free is None else f': {max(free, 0) / 2 ** 30:.1f} GiB are free'
    return DataError(f'{path} has {size}, which do not fit into memory{left}.',
                     'Cut the image into parts, or use a machine with more memory.')


def _check_content(path: object, header: Header, reading: Reading) -> None:
    """Raise a DataError if the file holds no picture that can be read, or a choice of page or bands is missing."""
    if reading.page and reading.page > header.pages:
        raise _no_such_page(path, reading)
    if header.pages > 1 and not reading.page:
        raise DataError(f'{path} holds {header.pages} pages (or frames), but only one picture can be read.',
                        f'Choose one, counted from 1, {_CHOOSE.format("page")}')
    if header.planes > 1:
        raise volume_in_a_page(path, header.planes)
    if header.colour == 'CMYK':
        raise DataError(f'{path} holds CMYK colour, which is not supported.', "Convert it to RGB, in Python: "
                        "from PIL import Image; Image.open(path).convert('RGB').save('rgb.png')")
    if header.colour == 'raw':
        raise DataError(f'{path} is a camera raw file, which holds a preview beside the picture.',
                        f'{TWO_PICTURES} Develop it into a 16-bit TIFF or PNG file.')
    if header.colour and not reading.bands:
        raise DataError(f'{path} has {header.bands} bands; expected grey (1) or colour (3, perhaps with alpha).',
                        'Choose one band, or three for red, green and blue, counted from 1, such as 4,3,2, '
                        f'{_CHOOSE.format("bands")}')


def volume_in_a_page(path: object, planes: int) -> DataError:
    """The error of a TIFF file that has a volume where a picture is expected."""
    return DataError(f'{path} holds a volume of {planes} planes in one page; expected a picture.',
                     'Save each plane as a page or a file of its own, for example with the package tifffile.')


def _no_such_page(path: object, reading: Reading) -> DataError:
    return DataError(f'{path} has no page {reading.page}.', 'Pages are counted from 1.')


def _decode(path: object, data: bytes, header: Header | None, tiff: Tiff | None,
            reading: Reading) -> np.ndarray | None:
    """Decode the pixels, bands in OpenCV's order blue, green, red, alpha; None if they cannot be decoded."""
    try:
        if tiff and (stored := tiff.for_opencv) is None:
            return _as_opencv(tiff.decode(path))
        if not tiff and reading.page and header and header.pages > 1:
            return _frame(data, reading.page)
        image = _by_opencv(stored if tiff else data)
        if image is None and tiff and tiff.is_whole:  # small tiles, or a compression that OpenCV's build lacks
            image = _as_opencv(tiff.decode(path))
        if image is None and data.startswith(b'\xff\xd8'):
            image = _without_end(path, data)
    except MemoryError as error:
        raise too_large(path, (header.height, header.width) if header else ()) from error
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise too_large(path, (header.height, header.width) if header else ()) from error
        return None
    if image is not None and tiff and tiff.white_is_zero and image.dtype.kind == 'u':
        image = np.iinfo(image.dtype).max - image
    return image


def _by_opencv(data: bytes) -> np.ndarray | None:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


def _as_opencv(image: Shaped[np.ndarray, 'h w band']) -> np.ndarray:
    """Put the bands of a file into OpenCV's order, which `_choose_bands` expects."""
    return image if image.shape[-1] < 3 else np.concatenate([image[..., 2::-1], image[..., 3:]], axis=-1)


def _frame(data: bytes, number: int) -> np.ndarray | None:
    """Decode a frame of an animation, 8-bit."""
    image = open_image(data)
    image.seek(number - 1)
    grey = image.getbands() in [('1',), ('L',)]
    pixels = np.asarray(image.convert('L' if grey else 'RGB'))
    return pixels if grey else pixels[..., ::-1]


def _without_end(path: object, data: bytes) -> np.ndarray | None:
    """Decode a JPEG file that lacks only its end marker; None if pixels are missing.

    The decoder makes up missing pixels from the bytes after the data. So pixels are missing if the picture depends on
    these bytes.
    """
    kept, end = data.removesuffix(b'\xff'), b'\xff\xd9'
    try:
        first, *others = [np.asarray(JpegImageFile(BytesIO(kept + filling * 64 + end)))
                          for filling in (b'', b'\x5a', b'\xa5', b'\xfe')]
    except (OSError, SyntaxError):
        return None
    if not all(np.array_equal(first, other) for other in others):
        return None
    note('jpeg end', f'{path} lacks its end marker; all its pixels are there.')
    return _by_opencv(kept + end)


def _not_an_image(path: str | os.PathLike, data: bytes) -> DataError:
    if identified := identify(path, data):
        description, remedy = identified
        return DataError(f'{path} is {description}, not a picture that vlfusion reads.', remedy)
    return DataError(f'Cannot decode {path} as an image; it holds {len(data)} bytes.', DAMAGED)


def _choose_bands(path: object, image: np.ndarray, reading: Reading) -> np.ndarray:
    """Grey `(h, w)` or blue, green, red `(h, w, 3)`."""
    if image.ndim == 2 and reading.bands in ((), (1,)):
        return image
    if not reading.bands:
        return image[..., :3] if image.shape[2] > 2 else image[..., 0]
    image = np.atleast_3d(image)
    order = [2, 1, 0, *range(3, image.shape[2])] if image.shape[2] > 2 else [*range(image.shape[2])]
    if max(reading.bands) > len(order):
        raise DataError(f'{path} has no band {max(reading.bands)}; it has {len(order)}.', 'Bands are counted from 1.')
    chosen = [order[band - 1] for band in reading.bands]
    return np.ascontiguousarray(image[..., chosen[0] if len(chosen) == 1 else chosen[::-1]])


def _note_alpha(path: object, image: np.ndarray, reading: Reading) -> None:
    if (image.ndim == 3 and image.shape[2] in (2, 4) and image.dtype.kind == 'u' and not reading.bands
            and image[..., -1].min() < np.iinfo(image.dtype).max):
        note('alpha', f'{path} has transparent pixels. Alpha is left out, so they show the colour stored below.')


def _note_losses(path: object, image: np.ndarray, header: Header | None, depth: int) -> None:
    if image.dtype.itemsize * 8 > depth:
        note('8 bits', f'{path} has {image.dtype.itemsize * 8} bits; all of them are fused, but the fused image is '
                       f'written with {depth} bits.' + (' Write 16 bits with --depth 16.' if depth < 16 else ''))
    if header and header.georeferenced:
        note('georeference', f'{path} is georeferenced. Only a fused .tif file of `vlfusion fuse` keeps that.')


def _within_range(path: object, image: np.ndarray, tiff: Tiff | None, reading: Reading) -> np.ndarray:
    if reading.stretch == 'full':
        if image.dtype not in (np.uint8, np.uint16):
            finite = image[np.isfinite(image)]
            span = f', from {finite.min():g} to {finite.max():g}' if finite.size else ''
            raise DataError(f'{path} holds {image.dtype} samples{span}; expected 8- or 16-bit unsigned.', GIVE_RANGE)
        if image.dtype == np.uint16:
            _note_range(path, image)
        return image
    valid, nodata = True, tiff and tiff.nodata
    if nodata is not None:
        valid = image != nodata
    lacking = image.size - np.count_nonzero(np.isfinite(image) & valid)
    if lacking:
        note('no value', f'{path} has {lacking} pixels without a value (NaN, infinite, or marked as missing); they '
                         'are black.')
    return rescale(image, reading, valid, str(path))


def _note_range(path: object, image: np.ndarray) -> None:
    """Note 16-bit data that fill a small part of their range, such as counts of a thermal or 12-bit camera."""
    low, high = int(image.min()), int(image.max())
    if 0 < high - low < 1 << 14:
        note('range', f'{path} holds values from {low} to {high}, {(high - low) / 65535:.1%} of the range of 16 bits, '
                      f'so its picture is nearly uniform. {GIVE_RANGE} Other files may be like this one.')
