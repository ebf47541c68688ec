"""Pairs of different size: a named rule makes the two images equally large, or refuses them."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Shaped

from vlfusion.console.notes import note
from vlfusion.errors import ConfigError, DataError, did_you_mean

#: `refuse`: an error. `resize`: the image with fewer pixels takes the size of the other one. `crop`: both are cut about
#: their centres to the lesser height and width, and no pixel is resampled.
FITS = ('refuse', 'resize', 'crop')
#: Largest factor between the proportions (width / height) of two images that may be resized.
_PROPORTION = 1.5
#: Factor between proportions from which the note names the distortion.
_DISTORTION = 1.01

Size = tuple[int, int]


def check_fit(rule: str) -> str:
    """The rule; raises a ConfigError if it is none of `FITS`."""
    if rule not in FITS:
        raise ConfigError(f'Unknown rule {rule!r} for pairs of different size.', did_you_mean(rule, FITS))
    return rule


def fitted_size(size_a: Size, size_b: Size, rule: str = 'refuse',
                names: Sequence[object] = ('source A', 'source B')) -> Size:
    """Height and width that both images of a pair get.

    >>> fitted_size((480, 640), (960, 1280), 'resize'), fitted_size((480, 640), (500, 600), 'crop')
    ((960, 1280), (480, 600))

    Args:
        size_a: height and width of source A in pixels.
        size_b: height and width of source B.
        rule: one of `FITS`; of two images with equally many pixels, source A keeps its size.
        names: names or paths of the images in messages.

    Raises:
        ConfigError: the rule is unknown.
        DataError: the sizes differ under the rule `refuse`; or, under `resize`, the proportions differ by more than a
            factor of 1.5, as between a portrait and a landscape.
    """
    check_fit(rule)
    if size_a == size_b:
        return size_a
    (height_a, width_a), (height_b, width_b) = size_a, size_b
    sizes = f'{names[0]} is {width_a}x{height_a}, {names[1]} is {width_b}x{height_b}'
    if rule == 'refuse':
        raise DataError(f'The images differ in size: {sizes}.',
                        'Register and resize them first; or choose a rule with --fit resize or --fit crop (in Python '
                        "fit='resize'). `vlfusion check-pairs` measures how far they are from being registered.")
    if rule == 'crop':
        note('fit', f'{sizes}; both are cut about their centres.')
        return min(height_a, height_b), min(width_a, width_b)
    size = size_b if height_a * width_a < height_b * width_b else size_a
    distortion = width_a * height_b / (height_a * width_b)
    distortion = max(distortion, 1 / distortion)
    if distortion > _PROPORTION:
        raise DataError(f'The images differ in proportion: {sizes}.',
                        'One of them may be turned by 90 degrees. Turn it, or cut both to the same view.')
    stretched = f', which stretches it by {distortion:.3g} in one direction' if distortion > _DISTORTION else ''
    note('fit', f'{sizes}; the smaller is resized to {size[1]}x{size[0]}{stretched}.')
    return size


def fit_image(image: Shaped[np.ndarray, 'h w *bgr'], size: Size, rule: str) -> Shaped[np.ndarray, '_ _ *bgr']:
    """Give one image a size by the rule: resampled (cubic where it grows, by area where it shrinks), or cut.

    The type and its range stay; an image that has the size is returned as it is.

    Args:
        image: 8 or 16 bits, or floats.
        size: height and width, as `fitted_size` returns them.
        rule: `resize` or `crop`.
    """
    if image.shape[:2] == tuple(size):
        return image
    if rule == 'crop':
        top, left = crop_offset(image.shape[:2], size)
        return np.ascontiguousarray(image[top:top + size[0], left:left + size[1]])
    shrinks = size[0] < image.shape[0] or size[1] < image.shape[1]
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def crop_offset(size: Size, cropped: Size) -> Size:
    """Row and column at which a cut about the centre begins.

    >>> crop_offset((10, 20), (10, 15))
    (0, 2)
    """
    return (size[0] - cropped[0]) // 2, (size[1] - cropped[1]) // 2


def fit_pair(image_a: Shaped[np.ndarray, '_ _ ...'], image_b: Shaped[np.ndarray, '_ _ ...'], rule: str = 'refuse',
             names: Sequence[object] = ('source A', 'source B')
             ) -> tuple[Shaped[np.ndarray, 'h w ...'], Shaped[np.ndarray, 'h w ...']]:
    """Give both images of a pair one size by a rule.

    A note, once a run, says what was done. Arguments and errors are those of `fitted_size`, with images for sizes.

    >>> a, b = fit_pair(np.zeros((48, 64), np.uint8), np.zeros((96, 128, 3), np.uint16), 'resize')
    >>> a.shape, b.shape
    ((96, 128), (96, 128, 3))
    """
    size = fitted_size(image_a.shape[:2], image_b.shape[:2], rule, names)
    return fit_image(image_a, size, rule), fit_image(image_b, size, rule)
