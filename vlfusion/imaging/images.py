"""Images: reading, luminance, chroma, writing. One definition for training, saving and scoring. Imports no torch.

An image on disk is an array as OpenCV has it: `(h, w)` grey or `(h, w, 3)` blue-green-red, uint8 or uint16. Luminance
is float32 `(h, w)` in [0, 1].
"""

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Shaped, UInt8

from vlfusion.errors import ConfigError, DataError, did_you_mean
from vlfusion.files import write_whole
from vlfusion.imaging.reading.image import SUFFIXES
from vlfusion.imaging.reading.image import read_image as read_image


def luminance(image: Shaped[np.ndarray, 'h w *bgr'], rule: str = 'film') -> Float[np.ndarray, 'h w']:
    """Luminance in [0, 1] of an 8- or 16-bit image: Y = 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601).

    Args:
        image: as `read_image` returns it.
        rule: `film` rounds Y to a whole grey level before it divides by 255 (65535 for 16 bits), as the released FILM
            reads images; `bt601` does not round.
    """
    if rule not in LUMINANCE_RULES:
        raise ConfigError(f'Unknown luminance rule {rule!r}.', did_you_mean(rule, LUMINANCE_RULES))
    luminance = np.empty(image.shape[:2], np.float32)
    for rows in _bands(image):
        grey = image[rows].astype(np.float32)
        if grey.ndim == 3:
            grey = cv2.cvtColor(grey, cv2.COLOR_BGR2GRAY)
        if rule == 'film':
            grey = np.round(grey, out=grey)
        np.divide(grey, np.float32(np.iinfo(image.dtype).max), out=luminance[rows])
    return luminance


LUMINANCE_RULES = ('film', 'bt601')


def _bands(image: np.ndarray, pixels: int = 1 << 18) -> Iterator[slice]:
    """The rows of an image in bands of about `pixels` pixels, so that work on one takes little memory."""
    step = max(1, pixels // max(1, image.shape[1]))
    return (slice(start, start + step) for start in range(0, len(image), step))


def add_chroma(fused: UInt8[np.ndarray, 'h w'], image_a: Shaped[np.ndarray, 'h w ...'],
               image_b: Shaped[np.ndarray, 'h w ...'], rule: str) -> UInt8[np.ndarray, 'h w ...']:
    """The fused luminance with the sources' chroma put back, as a blue-green-red image.

    Args:
        fused: 8-bit luminance.
        image_a: source A as read from disk, of the same height and width.
        image_b: source B likewise.
        rule: `b` takes source B's chroma (the visible or the functional image); `weighted` takes both, each pixel's
            chroma weighted by its distance from neutral grey: `Cb = (Cb_a |Cb_a - t| + Cb_b |Cb_b - t|) / (|Cb_a - t| +
            |Cb_b - t|)` with `t` neutral (Prabhakar et al., DeepFuse, ICCV 2017, eq. 4), and likewise Cr.

    Returns:
        `(h, w, 3)`; where no source has any colour, the grey image `(h, w)` unchanged.
    """
    if rule not in CHROMA_RULES:
        raise ConfigError(f'Unknown chroma rule {rule!r}.', did_you_mean(rule, CHROMA_RULES))
    coloured_a, coloured_b = (rule == 'weighted' and _is_coloured(image_a)), _is_coloured(image_b)
    if not (coloured_a or coloured_b):
        return fused
    result, found = np.empty((*fused.shape, 3), np.uint8), False
    for rows in _bands(fused):
        chroma = _chroma(image_b[rows], coloured_b)
        if rule == 'weighted':
            chroma_a = _chroma(image_a[rows], coloured_a)
            weight_a, weight_b = np.abs(chroma_a), np.abs(chroma)
            total = weight_a + weight_b
            chroma = (chroma_a * weight_a + chroma * weight_b) / np.where(total > 0, total, 1)
        found = found or chroma.any()
        ycrcb = np.dstack([fused[rows].astype(np.float32) / 255, chroma + _NEUTRAL]).astype(np.float32)
        bgr = cv2.cvtColor(ycrcb, cv2.COLOR_YCrCb2BGR)
        result[rows] = np.round(bgr.clip(0, 1) * 255)
    return result if found else fused


CHROMA_RULES = ('b', 'weighted')
_NEUTRAL = np.float32(0.5)


def _is_coloured(image: np.ndarray) -> bool:
    return image.ndim == 3 and any((image[rows] != image[rows][..., :1]).any() for rows in _bands(image))


def _chroma(image: np.ndarray, coloured: bool) -> np.ndarray:
    """(Cr, Cb) about zero, each in [-0.5, 0.5]; exactly zero for rows of a grey image."""
    if not coloured:
        return np.zeros((*image.shape[:2], 2), np.float32)
    ycrcb = cv2.cvtColor(image.astype(np.float32) / np.iinfo(image.dtype).max, cv2.COLOR_BGR2YCrCb)
    return ycrcb[..., 1:] - _NEUTRAL


def check_ending(path: str | os.PathLike) -> None:
    """Refuse a path whose ending names no image format that can be written.

    Raises:
        DataError: names the ending and the known ones.
    """
    if not cv2.haveImageWriter(str(path)):
        raise _no_format(path)


def _no_format(path: str | os.PathLike) -> DataError:
    suffix = Path(path).suffix
    problem = f'no image format has the ending {suffix!r}' if suffix else 'it has no ending of an image format'
    return DataError(f'Cannot write {path}: {problem}.', f'Use one of {" ".join(filter(_is_written, SUFFIXES))}.')


def _is_written(suffix: str) -> bool:
    return cv2.haveImageWriter(f'x{suffix}')


def write_image(path: str | os.PathLike, image: UInt8[np.ndarray, 'h w *bgr']) -> None:
    """Write an image in the format of the path's ending, making folders; a reader never sees half a file.

    Raises:
        DataError: no format has this ending, or the format cannot hold an image of this size.
        OSError: the file cannot be written.
    """
    suffix = Path(path).suffix
    try:
        encoded, content = cv2.imencode(suffix, image)
    except cv2.error as error:
        if not _is_written(suffix):
            raise _no_format(path) from error
        encoded = False
    if not encoded:
        raise DataError(f'Cannot write {path}: the format {suffix} does not hold {image.shape[1]}x{image.shape[0]} '
                        'pixels (width x height).', 'Write a .png or .tif file.')
    write_whole(path, content.tobytes())
