"""The degradations of ControlFusion (Tang et al., NeurIPS 2025), at four levels, for luminance.

The authors degrade public pairs once, by scripts with one setting each, and do not say which level a setting is for.
Here a degradation is drawn for every sample, see `vlfusion.data.degrading`. The level `moderate` has the settings of
the scripts; the other levels are chosen by this plugin. There is no script for too little and too much light.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import cv2
import numpy as np
from jaxtyping import Float

from vlfusion.data import degrading
from vlfusion.data.degrading import Degradation, Plane, low_light, over_exposure
from vlfusion.registry import TRANSFORMS

LEVELS = ('slight', 'moderate', 'average', 'extreme')


def low_contrast(image: Plane, offset: float) -> Plane:
    """Halve the range of values and raise it by an offset, in grey levels."""
    return 0.5 * image + offset / 255


def noise(image: Plane, deviation: float, pepper: float = 0.) -> Plane:
    """Add Gaussian noise of a deviation in grey levels, then noise of counting 70 to 90 photons in white.

    Args:
        image: image in [0, 1].
        deviation: standard deviation of the Gaussian noise, in grey levels.
        pepper: share of pixels that turn black.
    """
    image = (image + np.random.normal(0, deviation / 255, image.shape)).clip(0, 1)
    photons = np.random.randint(70, 91)
    image = np.random.poisson(photons * image) / photons
    return image * (np.random.rand(*image.shape) >= pepper)


def stripes(image: Plane, deviations: Sequence[float]) -> Plane:
    """Add an offset to each column, normal with a deviation between two numbers of grey levels."""
    return image + np.random.normal(0, np.random.uniform(*deviations) / 255, image.shape[1])


def motion_blur(image: Plane, length: int) -> Plane:
    """Average along a line of some pixels at 20 degrees."""
    line = np.zeros((length, length), np.float32)
    line[length // 2] = 1
    turn = cv2.getRotationMatrix2D((length // 2, length // 2), 20, 1)
    line = cv2.warpAffine(line, turn, (length, length))
    return cv2.filter2D(image.astype(np.float32), -1, line / line.sum())


def haze(image: Plane, density: Sequence[float], nearness: Plane | None = None) -> Plane:
    """Scatter light: `t I + (1 - t) A` with the transmission `t = exp(-beta min(1 - nearness, 0.7))`.

    `beta` is drawn between both values of `density`, and the atmospheric light `A` between 0.6 and 0.9. `nearness` is 0
    far away and 1 nearby. The authors read it from maps of depth, and blur it. Without one the scene is a plain that
    comes nearer from the top row to the bottom row.
    """
    if nearness is None:
        nearness = np.linspace(0, 1, len(image))[:, None]
    transmission = np.exp(-np.random.uniform(*density) * np.minimum(1 - nearness, 0.7))
    return transmission * image + (1 - transmission) * np.random.uniform(0.6, 0.9)


def rain(image: Plane, drops: float, length: int = 50) -> Plane:
    """Add streaks at 30 degrees, 15 % of the picture.

    Args:
        image: image in [0, 1].
        drops: share of pixels from which a streak starts.
        length: side of the kernel of a streak, in pixels; the streak is about `0.7 length` long.
    """
    start = np.random.uniform(0, 256, image.shape)
    start[start < 256 * (1 - drops)] = 0
    start = cv2.filter2D(start, -1, np.array([[0, 0.1, 0], [0.1, 8, 0.1], [0, 0.1, 0]]))
    turn = cv2.getRotationMatrix2D((length / 2, length / 2), -30 - 45, 1 - length / 100)
    streak = cv2.GaussianBlur(cv2.warpAffine(np.diag(np.ones(length)), turn, (length, length)), (3, 3), 0)
    streaks = _stretched(cv2.filter2D(start, -1, streak))
    return 0.85 * image + 0.15 * streaks


def _stretched(image: Float[np.ndarray, 'h w']) -> Plane:
    low, high = image.min(), image.max()
    return (image - low) / (high - low) if high > low else np.zeros_like(image)


#: For each kind, the source that it degrades, its function, and the setting of the function at each level.
KINDS = {
    'low_contrast_infrared': ('a', low_contrast, 'offset', (30, 50, 70, 90)),
    'noisy_infrared': ('a', partial(noise, pepper=0.0002), 'deviation', (7, 14, 21, 28)),
    'striped_infrared': ('a', stripes, 'deviations', ((2.5, 3.5), (5, 7), (10, 14), (15, 21))),
    'noisy_visible': ('b', noise, 'deviation', (10, 20, 30, 40)),
    'blurred_visible': ('b', motion_blur, 'length', (3, 5, 9, 15)),
    'hazy_visible': ('b', haze, 'density', ((0.5, 1), (1, 2), (2, 3), (3, 4))),
    'rainy_visible': ('b', rain, 'drops', (2.5 / 256, 5 / 256, 7.5 / 256, 10 / 256)),
    'dark_visible': ('b', low_light, 'gammas', ((1.5, 2), (2, 3), (3, 4), (4, 5))),
    'overexposed_visible': ('b', over_exposure, 'factors', ((1.2, 1.5), (1.5, 2), (2, 2.5), (2.5, 3)))}


def _at(kind: str, level: str = 'moderate') -> Degradation:
    source, function, argument, settings = KINDS[kind]
    return {source: partial(function, **{argument: settings[LEVELS.index(level)]})}


def _in_turn(*kinds: str) -> Degradation:
    """Degrade a pair by several kinds, one after the other, each at the level `moderate`."""
    def apply(image: Plane, functions: Sequence) -> Plane:
        for function in functions:
            image = function(image).clip(0, 1)
        return image
    steps = [_at(kind) for kind in kinds]
    return {source: partial(apply, functions=[step[source] for step in steps if source in step])
            for source in sorted({source for step in steps for source in step})}


#: Degradations by name: each kind at each level, and six mixtures, as in the released training.
DEGRADATIONS: Mapping[str, Degradation] = {
    **{f'{kind}_{level}': _at(kind, level) for kind in KINDS for level in LEVELS},
    'dark_hazy_visible': _in_turn('dark_visible', 'hazy_visible'),
    'dark_noisy_visible': _in_turn('dark_visible', 'noisy_visible'),
    'hazy_rainy_visible': _in_turn('hazy_visible', 'rainy_visible'),
    'dark_visible_striped_infrared': _in_turn('dark_visible', 'striped_infrared'),
    'overexposed_visible_low_contrast_infrared': _in_turn('overexposed_visible', 'low_contrast_infrared'),
    'hazy_rainy_visible_noisy_infrared': _in_turn('hazy_visible', 'rainy_visible', 'noisy_infrared')}


@TRANSFORMS.register_module()
class Degrade(degrading.Degrade):
    """Draw a degradation of ControlFusion, apply it, and replace the text by an instruction about it.

    The arguments and errors are those of `vlfusion.data.degrading.Degrade`.
    """

    degradations = DEGRADATIONS
