"""The degradations of Text-IF (Yi et al., CVPR 2024), drawn on the fly.

Text-IF trains on EMS: pairs of public data sets with degradations and hand-restored truths. Here a degradation is drawn
at random for every sample and applied to a pair that is assumed to be clean, see `vlfusion.data.degrading`:

    pipeline=[dict(type='LoadPair'), dict(type='BothSources', transforms=[...]),
              dict(type='vlfusion_textif.Degrade', instructions=dict(none=['Fuse them.'], ...), language=language),
              dict(type='PackDegraded')]
"""

from collections.abc import Mapping

import numpy as np

from vlfusion.data import degrading
from vlfusion.data.degrading import Degradation, Plane, low_light, over_exposure
from vlfusion.registry import TRANSFORMS


def low_contrast(image: Plane) -> Plane:
    """Lower the contrast: multiply the distance to the mean by a factor between 0.2 and 0.5."""
    return image.mean() + np.random.uniform(0.2, 0.5) * (image - image.mean())


def noise(image: Plane) -> Plane:
    """Add white Gaussian noise of a standard deviation between 0.04 and 0.12."""
    return image + np.random.normal(0, np.random.uniform(0.04, 0.12), image.shape)


#: Degradations by name. `none` leaves the pair unchanged.
DEGRADATIONS: Mapping[str, Degradation] = {
    'none': {},
    'low_light_visible': {'b': low_light},
    'over_exposed_visible': {'b': over_exposure},
    'low_contrast_infrared': {'a': low_contrast},
    'noisy_infrared': {'a': noise}}


@TRANSFORMS.register_module()
class Degrade(degrading.Degrade):
    """Draw a degradation of Text-IF, apply it, and replace the text by an instruction about it.

    The arguments and errors are those of `vlfusion.data.degrading.Degrade`.
    """

    degradations = DEGRADATIONS
