"""Measured facts about an image, in plain words and without a model."""

from collections.abc import Mapping, Sequence
from typing import SupportsFloat

import cv2
import numpy as np
from jaxtyping import Bool, Float

from vlfusion.imaging.images import luminance
from vlfusion.language.captioners.scenes import checked_scenes
from vlfusion.language.interfaces import Image, Observation
from vlfusion.language.words import PLACES, join, place, share
from vlfusion.registry import CAPTIONERS

# Each scale is (upper limit, word), the last without a limit.
_SIZES = ((1e5, 'small'), (1e6, 'medium-sized'), (np.inf, 'large'))  # pixels
_SHAPES = ((0.5, 'very tall'), (0.95, 'tall'), (1.05, 'square'), (2.0, 'wide'), (np.inf, 'very wide'))  # width / height
_BRIGHTNESS = ((0.12, 'very dark'), (0.3, 'dark'), (0.5, 'moderately bright'), (0.75, 'bright'),
               (np.inf, 'very bright'))
_CONTRAST = ((0.04, 'hardly any'), (0.12, 'low'), (0.22, 'moderate'), (np.inf, 'strong'))  # standard deviation
_DETAIL = ((0.004, 'hardly any'), (0.02, 'little'), (0.06, 'moderate'), (np.inf, 'much'))  # mean absolute Laplacian
_PATCH_SIZES = ((0.03, 'small'), (0.12, 'medium-sized'), (np.inf, 'large'))  # fraction of the image
_PATCH_SHAPES = ((0.6, 'tall'), (1.6, 'compact'), (np.inf, 'wide'))
_HUES = ((20, 'red'), (45, 'orange'), (70, 'yellow'), (165, 'green'), (200, 'cyan'), (260, 'blue'), (290, 'violet'),
         (340, 'magenta'), (np.inf, 'red'))  # degrees
_PATCHES = 3  # most bright patches that are described
_NOTABLE = 0.03  # least fraction of the image that is worth a sentence


@CAPTIONERS.register_module()
class MeasuredCaptioner:
    """Measured size, brightness, contrast, background, colour, fine detail and bright patches of an image.

    The same image always gives the same sentences. Places are the nine regions of a three-by-three grid.

    >>> image = np.zeros((90, 90), np.uint8)
    >>> image[10:25, 10:25] = 255
    >>> for seen in MeasuredCaptioner().observe([(image,)], ('infrared',))[0]:
    ...     print(seen.text)
    This small square image is of the infrared kind.
    Nearly all of it is empty black background.
    Apart from its background it is very bright, with hardly any contrast and much fine detail.
    It is grey, without any colour.
    It is brightest in the upper left.
    It is sharpest in the upper left.
    A small compact bright patch stands out in the upper left.
    """

    version, images = '1', 1

    @staticmethod
    def self_contained(config: Mapping) -> bool:
        return True

    def observe(self, scenes: Sequence[tuple[Image]], modalities: tuple[str]) -> list[list[Observation]]:
        """Return at least five sentences about each image, then up to three bright patches with their boxes.

        Args:
            scenes: single images, as `vlfusion.imaging.images.read_image` returns them.
            modalities: the modality of the images, such as `('MRI',)`; an empty word if unknown.

        Raises:
            DataError: scenes or modalities have another form.
        """
        return [self._describe(image, *modalities) for image, in checked_scenes(self, scenes, modalities)]

    def _describe(self, image: np.ndarray, modality: str) -> list[Observation]:
        grey = luminance(image, rule='bt601')
        detail = np.abs(cv2.Laplacian(grey, cv2.CV_32F))
        content = _content(grey)
        size, shape = _word(_SIZES, grey.size), _word(_SHAPES, grey.shape[1] / grey.shape[0])
        opening = 'Overall' if content.all() else 'Apart from its background'
        sentences = [
            f'This {size} {shape} image is of {f"the {modality}" if modality else "an unknown"} kind.',
            _empty(grey, content),
            f'{opening} it is {_word(_BRIGHTNESS, grey[content].mean())}, with {_word(_CONTRAST, grey[content].std())} '
            f'contrast and {_word(_DETAIL, detail[content].mean())} fine detail.',
            _colours(image),
            _extent(grey, 'bright', 'brightest', 'darkest', evenness=0.03),
            _extent(detail, 'sharp', 'sharpest', 'softest', evenness=0.002),
        ]
        patches = _bright_patches(grey, content) or _bright_patches(grey, np.ones_like(content))
        return [Observation(sentence) for sentence in sentences if sentence] + patches


def _word(scale: Sequence[tuple[float, str]], value: SupportsFloat) -> str:
    return next(word for limit, word in scale if value < limit)


def _cells(plane: np.ndarray) -> Float[np.ndarray, '3 3']:
    """Return the mean of a plane in each of the nine regions."""
    return cv2.resize(plane.astype(np.float32), (3, 3), interpolation=cv2.INTER_AREA)


def _content(grey: Float[np.ndarray, 'h w']) -> Bool[np.ndarray, 'h w']:
    """Return the mask of everything but the background, which is black and reaches the border.

    If the background covers less than 3 % of the image, or all of it, the whole image counts as content.
    """
    _, labels = cv2.connectedComponents((grey < 0.03).astype(np.uint8))
    border = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    content = ~np.isin(labels, border[border > 0])
    return content if 0 < content.mean() <= 1 - _NOTABLE else np.ones_like(content)


def _empty(grey: Float[np.ndarray, 'h w'], content: Bool[np.ndarray, 'h w']) -> str:
    """Describe the share of the image that shows nothing: black background, or pure white."""
    shares = ((1 - content.mean(), 'empty black background'), ((grey > 0.98).mean(), 'purely white'))
    facts = [f'{share(fraction)} of it is {what}' for fraction, what in shares if fraction >= _NOTABLE]
    return f'{join(facts).capitalize()}.' if facts else ''


def _extent(plane: Float[np.ndarray, 'h w'], quality: str, most: str, least: str, evenness: float) -> str:
    """Describe the regions with most and with least of a quality, if they are few, and the runner-up of a single top.

    Args:
        plane: the amount of the quality in each pixel.
        quality: the name of the quality.
        most: its superlative.
        least: the opposite superlative.
        evenness: the difference of means below which regions are called equal.
    """
    cells = _cells(plane)
    low, high = cells.min(), cells.max()
    if high - low < evenness:
        return f'It is about equally {quality} everywhere.'
    margin = 0.1 * (high - low)
    top, bottom = cells >= high - margin, cells <= low + margin
    places = [f'{most} in the {join(_names(top))}'] if top.sum() <= 3 else []
    if top.sum() == 1 and (runner_up := np.where(top, low, cells)).max() > low + margin:
        places.append(f'next in the {_names(runner_up == runner_up.max())[0]}')
    if bottom.sum() <= 3:
        places.append(f'{least} in the {join(_names(bottom))}')
    return f'It is {join(places)}.' if places else f'Its {most} and {least} parts alternate.'


def _names(regions: Bool[np.ndarray, '3 3']) -> list[str]:
    return [PLACES[row][column] for row, column in zip(*np.nonzero(regions), strict=True)]


def _colours(image: np.ndarray) -> str:
    """Describe the one or two prevailing hues, each with the region that has most of it."""
    if image.ndim == 2 or (image == image[..., :1]).all():
        return 'It is grey, without any colour.'
    hue, saturation, value = cv2.split(cv2.cvtColor(image / np.float32(np.iinfo(image.dtype).max), cv2.COLOR_BGR2HSV))
    coloured = (saturation > 0.25) & (value > 0.15)
    if coloured.mean() < _NOTABLE:
        return 'It has hardly any colour.'
    names = np.array([name for _, name in _HUES])[np.digitize(hue, [limit for limit, _ in _HUES[:-1]])]
    areas = {str(name): coloured & (names == name) for name in np.unique(names[coloured])}
    where = {}  # region -> its hues
    for name in sorted(areas, key=lambda name: -areas[name].sum())[:2]:
        if areas[name].sum() >= 0.15 * coloured.sum():
            where.setdefault(np.ravel(PLACES)[_cells(areas[name]).argmax()], []).append(name)
    hues = join([f'{join(names)} in the {region}' for region, names in where.items()])
    return f'{share(coloured.mean())} of it is coloured, most strikingly {hues}.'.capitalize()


def _bright_patches(grey: Float[np.ndarray, 'h w'], content: Bool[np.ndarray, 'h w']) -> list[Observation]:
    """Describe the largest connected areas above Otsu's threshold of the content, if they stand out from it."""
    height, width = grey.shape
    levels = cv2.GaussianBlur(np.round(grey * 255).astype(np.uint8), (0, 0), max(height, width) / 100)
    threshold, _ = cv2.threshold(levels[content], 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    bright, rest = content & (levels > threshold), content & (levels <= threshold)
    if not bright.any() or not rest.any() or grey[bright].mean() - grey[rest].mean() < 0.15:
        return []
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(bright.astype(np.uint8))
    patches = []
    for label in sorted(range(1, len(boxes)), key=lambda label: -boxes[label, cv2.CC_STAT_AREA])[:_PATCHES]:
        left, top, w, h, size = boxes[label].tolist()
        area, box = size / grey.size, (left / width, top / height, (left + w) / width, (top + h) / height)
        if 0.002 <= area < 0.5:
            hull = cv2.contourArea(cv2.convexHull(cv2.findNonZero((labels == label).astype(np.uint8))))
            # An open or hollow shape may miss the middle of its box.
            what = 'outline spans' if size < 0.5 * hull else 'patch stands out in'
            text = f'A {_word(_PATCH_SIZES, area)} {_word(_PATCH_SHAPES, w / h)} bright {what} the {place(box)}.'
            patches.append(Observation(text, box, area))
    return patches
