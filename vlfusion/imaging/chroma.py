"""Colour of a fused image: the luminance is fused, the chroma comes from the sources by a rule of `CHROMA_RULES`.

A rule is a function of the sources' chroma, pixel by pixel. A plugin registers a rule like a metric:

    @CHROMA_RULES.register_module()
    def mean(chroma_a, chroma_b):
        '''The mean of both sources' chroma.'''
        return (chroma_a + chroma_b) / 2

For stacks of any number of sources, a rule has an attribute `over_stack`, a function that takes the chroma of all
sources, each read when it is asked for. It may be given like this:

    @over_stack(mean)
    def _mean(chromas):
        return sum(chromas) / len(chromas)
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import cv2
import numpy as np
from jaxtyping import Float, Shaped

from vlfusion.errors import ConfigError, DataError, VLFusionError
from vlfusion.guards.foreign import foreign
from vlfusion.imaging.images import Levels, bands
from vlfusion.registry import CHROMA_RULES

#: Cr and Cb about neutral grey, each in [-0.5, 0.5].
Chroma: TypeAlias = Float[np.ndarray, 'h w 2']
Rule: TypeAlias = Callable[[Chroma, Chroma], Chroma]
#: A rule for a sequence of chroma. Its items are read when they are asked for, so no item is checked beforehand.
StackRule: TypeAlias = Callable[[Sequence], Chroma]

#: Former names, which configs and checkpoints may hold.
_FORMER = {'b': 'visible'}
_NEUTRAL = np.float32(0.5)


def over_stack(rule: Rule) -> Callable[[StackRule], StackRule]:
    """Decorate a function that does for any number of sources what a rule does for two."""
    def keep(function: StackRule) -> StackRule:
        rule.over_stack = function
        return function
    return keep


@CHROMA_RULES.register_module()
def visible(chroma_a: Chroma, chroma_b: Chroma) -> Chroma:
    """The chroma of source B: the visible image of `ivf`, the functional image of `mif`. Of a stack: the last one's."""
    return chroma_b


@over_stack(visible)
def _last(chromas: Sequence) -> Chroma:
    return chromas[-1]


@CHROMA_RULES.register_module()
def weighted(chroma_a: Chroma, chroma_b: Chroma) -> Chroma:
    """The mean of both sources' chroma, weighted by its distance from neutral grey.

    This is equation 4 of DeepFuse (Prabhakar et al., ICCV 2017), with `t` neutral, for Cb and for Cr:
    `Cb = (Cb_a |Cb_a - t| + Cb_b |Cb_b - t|) / (|Cb_a - t| + |Cb_b - t|)`. For a stack, both sums are over all sources.
    """
    return _weighted((chroma_a, chroma_b))


@over_stack(weighted)
def _weighted(chromas: Sequence) -> Chroma:
    weighed = total = 0
    for chroma in chromas:
        weight = np.abs(chroma)
        weighed, total = weighed + chroma * weight, total + weight
    return weighed / np.where(total > 0, total, 1)


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


def add_chroma(fused: Levels, image_a: Shaped[np.ndarray, 'h w ...'],
               image_b: Shaped[np.ndarray, 'h w ...'], rule: str, strength: float = 1.) -> Levels:
    """Put chroma from the sources back on a fused luminance.

    The rule gets a few rows at a time, so that large images need little memory.

    Args:
        fused: luminance, 8 or 16 bits.
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
    _check_strength(strength)
    combine = CHROMA_RULES.get(chroma_name(rule))
    coloured_a, coloured_b = _is_coloured(image_a), _is_coloured(image_b)
    if not (coloured_a or coloured_b):
        return fused
    result, any_colour = np.empty((*fused.shape, 3), fused.dtype), False
    for rows in bands(fused):
        sources = _chroma(image_a[rows], coloured_a), _chroma(image_b[rows], coloured_b)
        chroma = _checked(rule, sources[0].shape[:2], combine, *sources)
        any_colour = any_colour or chroma.any()
        result[rows] = _coloured(fused[rows], chroma, strength)
    return result if any_colour else fused


def add_stack_chroma(fused: Levels, images: Sequence, rule: str, strength: float = 1.
                     ) -> Levels:
    """Put chroma from a stack of sources back on a fused luminance.

    Args:
        fused: luminance, 8 or 16 bits.
        images: the sources as read from disk, `(h, w)` or `(h, w, 3)`. They may be read when they are asked for: one is
            held at a time.
        rule, strength: as for `add_chroma`.

    Returns:
        As for `add_chroma`.

    Raises:
        ConfigError: the rule is for two sources only.
        UnknownNameError, DataError, VLFusionError: as for `add_chroma`.
    """
    _check_strength(strength)
    chroma = _checked(rule, fused.shape, stack_rule(rule), _Chromas(images))
    if not chroma.any():
        return fused
    result = np.empty((*fused.shape, 3), fused.dtype)
    for rows in bands(fused):
        result[rows] = _coloured(fused[rows], chroma[rows], strength)
    return result


def stack_rule(name: str) -> StackRule:
    """Return what a colour rule does for any number of sources.

    Raises:
        UnknownNameError: no rule has that name.
        ConfigError: the rule is for two sources only.
    """
    function = getattr(CHROMA_RULES.get(chroma_name(name)), 'over_stack', None)
    if function is None:
        raise ConfigError(f'The colour rule {name} is for two sources, but a stack may have more.',
                          'Choose another one, such as visible or weighted, or write luminance only.')
    return function


class _Chromas(Sequence):
    """The chroma of images, made when it is asked for."""

    def __init__(self, images: Sequence):
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, place: int) -> Chroma:
        return self._of(self._images[place])

    def __iter__(self) -> Iterator[Chroma]:
        return map(self._of, self._images)

    @staticmethod
    def _of(image: np.ndarray) -> Chroma:
        coloured, chroma = _is_coloured(image), np.empty((*image.shape[:2], 2), np.float32)
        for rows in bands(image):
            chroma[rows] = _chroma(image[rows], coloured)
        return chroma


def mean_chroma(image: Levels) -> float:
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


def _checked(name: str, size: tuple[int, int], combine: Callable[..., Chroma], *sources: object) -> Chroma:
    """Call a rule, which may come from a plugin, and check what it returns."""
    remedy = 'A rule takes arrays (h, w, 2), Cr and Cb in [-0.5, 0.5] about neutral, and returns one like them.'
    with foreign(f'The colour rule {name} fails', VLFusionError, remedy):
        chroma = combine(*sources)
    shape = getattr(chroma, 'shape', None)
    if shape != (*size, 2):
        raise VLFusionError(f'The colour rule {name} returned {shape or type(chroma).__name__}; expected an array of '
                            f'shape {(*size, 2)}.', remedy)
    return chroma


def _check_strength(strength: float) -> None:
    if not (np.isfinite(strength) and strength >= 0):
        raise DataError(f'The colour strength is {strength}; expected a factor of 0 or more.',
                        'A network that gives another one is faulty or has diverged. Load another checkpoint.')


def _coloured(fused: Levels, chroma: Chroma, strength: float) -> Float[np.ndarray, 'h w 3']:
    """Whole grey levels of blue, green and red."""
    white = np.iinfo(fused.dtype).max
    ycrcb = np.dstack([fused.astype(np.float32) / white, strength * chroma + _NEUTRAL]).astype(np.float32)
    return np.round(cv2.cvtColor(ycrcb, cv2.COLOR_YCrCb2BGR).clip(0, 1) * white)


def _is_coloured(image: np.ndarray) -> bool:
    return image.ndim == 3 and any((image[rows] != image[rows][..., :1]).any() for rows in bands(image))


def _chroma(image: np.ndarray, coloured: bool) -> np.ndarray:
    """(Cr, Cb) about zero, each in [-0.5, 0.5]; exactly zero for rows of a grey image."""
    if not coloured:
        return np.zeros((*image.shape[:2], 2), np.float32)
    ycrcb = cv2.cvtColor(image.astype(np.float32) / np.iinfo(image.dtype).max, cv2.COLOR_BGR2YCrCb)
    return ycrcb[..., 1:] - _NEUTRAL
