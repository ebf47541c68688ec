"""Colour of a fused image: the luminance is fused, the chroma comes from the sources by a rule of `CHROMA_RULES`.

A rule is a function of the sources' chroma, pixel by pixel. A plugin registers a rule like a metric:

    @CHROMA_RULES.register_module()
    def mean(chroma_a, chroma_b):
        '''The mean of both sources' chroma.'''
        return (chroma_a + chroma_b) / 2
"""

from collections.abc import Callable
from typing import TypeAlias

import cv2
import numpy as np
from jaxtyping import Float, Shaped, UInt8

from vlfusion.errors import DataError, VLFusionError
from vlfusion.guards.foreign import foreign
from vlfusion.imaging.images import bands
from vlfusion.registry import CHROMA_RULES

#: Cr and Cb about neutral grey, each in [-0.5, 0.5].
Chroma: TypeAlias = Float[np.ndarray, 'h w 2']
Rule: TypeAlias = Callable[[Chroma, Chroma], Chroma]

#: Former names, which configs and checkpoints may hold.
_FORMER = {'b': 'visible'}
_NEUTRAL = np.float32(0.5)


@CHROMA_RULES.register_module()
def visible(chroma_a: Chroma, chroma_b: Chroma) -> Chroma:
    """The chroma of source B: the visible image of `ivf`, the functional image of `mif`."""
    return chroma_b


@CHROMA_RULES.register_module()
def weighted(chroma_a: Chroma, chroma_b: Chroma) -> Chroma:
    """The mean of both sources' chroma, weighted by its distance from neutral grey.

    This is equation 4 of DeepFuse (Prabhakar et al., ICCV 2017), with `t` neutral, for Cb and for Cr:
    `Cb = (Cb_a |Cb_a - t| + Cb_b |Cb_b - t|) / (|Cb_a - t| + |Cb_b - t|)`.
    """
    weight_a, weight_b = np.abs(chroma_a), np.abs(chroma_b)
    total = weight_a + weight_b
    return (chroma_a * weight_a + chroma_b * weight_b) / np.where(total > 0, total, 1)


def chroma_name(name: str) -> str:
    """The present name of a rule.

    >>> chroma_name('b')
    'visible'

    Raises:
        UnknownNameError: no rule has that name.
    """
    name = _FORMER.get(name, name)
    CHROMA_RULES.get(name)
    return name


def add_chroma(fused: UInt8[np.ndarray, 'h w'], image_a: Shaped[np.ndarray, 'h w ...'],
               image_b: Shaped[np.ndarray, 'h w ...'], rule: str, strength: float = 1.) -> UInt8[np.ndarray, 'h w ...']:
    """Put chroma from the sources back on a fused luminance.

    The rule gets a few rows at a time, so that large images need little memory.

    Args:
        fused: 8-bit luminance.
        image_a: source A as read from disk, of the same height and width.
        image_b: source B, in the same form.
        rule: a name in `CHROMA_RULES`.
        strength: factor of the distance from neutral grey of what the rule returns, as an instruction may ask for it.

    Returns:
        Blue-green-red `(h, w, 3)`; or the grey image `(h, w)` unchanged, if the rule colours no pixel.

    Raises:
        UnknownNameError: no rule has that name.
        DataError: the strength is below 0 or not finite.
        VLFusionError: the rule of a plugin fails, or returns an array of another shape.
    """
    if not (np.isfinite(strength) and strength >= 0):
        raise DataError(f'The colour strength is {strength}; expected a factor of 0 or more.',
                        'A network that gives another one is faulty or has diverged. Load another checkpoint.')
    combine = CHROMA_RULES.get(chroma_name(rule))
    coloured_a, coloured_b = _is_coloured(image_a), _is_coloured(image_b)
    if not (coloured_a or coloured_b):
        return fused
    result, any_colour = np.empty((*fused.shape, 3), np.uint8), False
    for rows in bands(fused):
        sources = _chroma(image_a[rows], coloured_a), _chroma(image_b[rows], coloured_b)
        chroma = _combined(combine, rule, *sources)
        any_colour = any_colour or chroma.any()
        ycrcb = np.dstack([fused[rows].astype(np.float32) / 255, strength * chroma + _NEUTRAL]).astype(np.float32)
        bgr = cv2.cvtColor(ycrcb, cv2.COLOR_YCrCb2BGR)
        result[rows] = np.round(bgr.clip(0, 1) * 255)
    return result if any_colour else fused


def mean_chroma(image: UInt8[np.ndarray, 'h w *bgr']) -> float:
    """Mean distance of the pixels from neutral grey, `sqrt(Cr^2 + Cb^2)`: 0 for a grey image, at most 0.534.

    >>> mean_chroma(np.full((2, 2), 90, np.uint8))
    0.0
    >>> round(mean_chroma(np.full((2, 2, 3), (0, 0, 255), np.uint8)), 3)  # red
    0.527

    Args:
        image: an image as `vlfusion.imaging.picture.Fused.colour` holds it: grey, or blue-green-red.
    """
    if not _is_coloured(image):
        return 0.
    return sum(float(np.hypot(*np.moveaxis(_chroma(image[rows], True), -1, 0)).sum(dtype=np.float64))
               for rows in bands(image)) / image[..., 0].size


def _combined(combine: Rule, name: str, chroma_a: Chroma, chroma_b: Chroma) -> Chroma:
    remedy = 'A rule takes two arrays (h, w, 2), Cr and Cb in [-0.5, 0.5] about neutral, and returns one like them.'
    with foreign(f'The colour rule {name} fails', VLFusionError, remedy):
        chroma = combine(chroma_a, chroma_b)
    shape = getattr(chroma, 'shape', None)
    if shape != chroma_b.shape:
        raise VLFusionError(f'The colour rule {name} returned {shape or type(chroma).__name__}; expected an array of '
                            f'shape {chroma_b.shape}.', remedy)
    return chroma


def _is_coloured(image: np.ndarray) -> bool:
    return image.ndim == 3 and any((image[rows] != image[rows][..., :1]).any() for rows in bands(image))


def _chroma(image: np.ndarray, coloured: bool) -> np.ndarray:
    """(Cr, Cb) about zero, each in [-0.5, 0.5]; exactly zero for rows of a grey image."""
    if not coloured:
        return np.zeros((*image.shape[:2], 2), np.float32)
    ycrcb = cv2.cvtColor(image.astype(np.float32) / np.iinfo(image.dtype).max, cv2.COLOR_BGR2YCrCb)
    return ycrcb[..., 1:] - _NEUTRAL
