"""Images: reading, luminance, 8 bits, writing. Training, saving and scoring share these. Imports no torch.

A file becomes an array in OpenCV's form: `(h, w)` grey or `(h, w, 3)` blue-green-red, uint8 or uint16. Luminance is
float32 `(h, w)` in [0, 1].
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from jaxtyping import Float, Shaped, UInt8, UInt16

from vlfusion.errors import ConfigError, DataError, did_you_mean
from vlfusion.files import write_whole
from vlfusion.imaging.georeference import Georeference
from vlfusion.imaging.reading.image import SUFFIXES
from vlfusion.imaging.reading.image import read_image as read_image

#: A fused picture, or any other that is written: grey `(h, w)` or blue-green-red `(h, w, 3)`, 8 or 16 bits.
Levels: TypeAlias = UInt8[np.ndarray, 'h w ...'] | UInt16[np.ndarray, 'h w ...']
#: Endings of the formats that are written with 16 bits.
DEEP_SUFFIXES = ('.png', '.tif', '.tiff')


def luminance(image: Shaped[np.ndarray, 'h w *bgr'], rule: str = 'film') -> Float[np.ndarray, 'h w']:
    """Luminance in [0, 1] of an 8- or 16-bit image: Y = 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601).

    Args:
        image: as `read_image` returns it.
        rule: `film` rounds Y to a whole grey level before it divides by 255 (65535 for 16 bits), as FILM's released
            code does; `bt601` does not round.

    Raises:
        ConfigError: the rule is unknown.
    """
    if rule not in LUMINANCE_RULES:
        raise ConfigError(f'Unknown luminance rule {rule!r}.', did_you_mean(rule, LUMINANCE_RULES))
    luminance = np.empty(image.shape[:2], np.float32)
    for rows in bands(image):
        grey = image[rows].astype(np.float32)
        if grey.ndim == 3:
            grey = cv2.cvtColor(grey, cv2.COLOR_BGR2GRAY)
        if rule == 'film':
            grey = np.round(grey, out=grey)
        np.divide(grey, np.float32(np.iinfo(image.dtype).max), out=luminance[rows])
    return luminance


LUMINANCE_RULES = ('film', 'bt601')


def bands(image: np.ndarray, pixels: int = 1 << 18) -> Iterator[slice]:
    """Slices that cut the rows of an image into bands of about `pixels` pixels; work on a band needs little memory."""
    step = max(1, pixels // max(1, image.shape[1]))
    return (slice(start, start + step) for start in range(0, len(image), step))


def to_8bit(image: Shaped[np.ndarray, 'h w *bgr']) -> UInt8[np.ndarray, 'h w *bgr']:
    """Convert a 16-bit image to 8 bits, each level to the nearest: 65535 = 257 * 255 becomes 255.

    The scale is the range of the type, not the range that the image uses, so brightness keeps its meaning. There are no
    ties, because 257 is odd. An 8-bit image is returned as it is.

    >>> to_8bit(np.array([[0, 128, 129, 65535]], np.uint16)).tolist()
    [[0, 0, 1, 255]]
    """
    return np.round(image / np.float32(257)).astype(np.uint8) if image.dtype == np.uint16 else image


def __getattr__(name: str) -> object:
    if name == 'add_chroma':  # its former place; imported late, because `chroma` imports this module
        from vlfusion.imaging.chroma import add_chroma
        return add_chroma
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def check_ending(path: str | os.PathLike, depth: int = 8) -> None:
    """Refuse a path whose ending names no image format that can be written with that many bits.

    Raises:
        DataError: names the ending and the known ones.
    """
    if not cv2.haveImageWriter(str(path)):
        raise _no_format(path)
    if depth == 16 and Path(path).suffix.lower() not in DEEP_SUFFIXES:
        raise DataError(f'Cannot write {path} with 16 bits.', f'Use one of {" ".join(DEEP_SUFFIXES)}, or 8 bits.')


def _no_format(path: str | os.PathLike) -> DataError:
    suffix = Path(path).suffix
    problem = f'no image format has the ending {suffix!r}' if suffix else 'the name has no ending, such as .png'
    return DataError(f'Cannot write {path}: {problem}.', f'Use one of {" ".join(filter(_is_written, SUFFIXES))}.')


def _is_written(suffix: str) -> bool:
    return cv2.haveImageWriter(f'x{suffix}')


def write_image(path: str | os.PathLike, image: Levels, georeference: Georeference | None = None) -> None:
    """Write an image in the format of the path's ending.

    Missing folders are made. A reader never sees half a file.

        vlfusion.write_image('fused/street.png', image)

    Args:
        path: such as `fused/street.png`.
        image: `(h, w)`, or `(h, w, 3)` in blue-green-red; uint8, or uint16 for PNG and TIFF.
        georeference: place of the image on earth, for a TIFF file, which then is a GeoTIFF.

    Raises:
        DataError: no format has this ending, or the format cannot hold an image of this size or depth.
        OSError: the file cannot be written.
    """
    suffix = Path(path).suffix
    if image.dtype == np.uint16:
        check_ending(path, 16)
    if georeference:
        return write_whole(path, georeference.encode(image))
    try:
        encoded, content = cv2.imencode(suffix, image)
    except cv2.error as error:
        if not _is_written(suffix):
            raise _no_format(path) from error
        encoded = False
    if not encoded:
        raise DataError(f'Cannot write {path}: the format {suffix} cannot hold {image.shape[1]}x{image.shape[0]} '
                        'pixels (width x height).', 'Write a .png or .tif file.')
    write_whole(path, content.tobytes())
