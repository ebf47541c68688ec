"""Degraded pairs with the instruction that belongs to them, and the clean pair as the target.

Text-IF trains on EMS, pairs of public data sets with degradations and hand-restored truths. Here the degradation is
drawn afresh for every sample, from pairs that are taken for clean:

    pipeline=[dict(type='LoadPair'), dict(type='BothSources', transforms=[...]),
              dict(type='vlfusion_textif.Degrade'), dict(type='vlfusion_textif.PackDegraded')]
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from mmcv.transforms import BaseTransform

from vlfusion.data.transforms import PackPair
from vlfusion.errors import ConfigError, did_you_mean
from vlfusion.registry import TRANSFORMS

Plane = Float[np.ndarray, 'h w']


def low_light(image: Plane) -> Plane:
    """Darker by a gamma between 2 and 4."""
    return image**np.random.uniform(2, 4)


def over_exposure(image: Plane) -> Plane:
    """Brighter by a factor between 1.6 and 2.6, and cut off at white."""
    return image * np.random.uniform(1.6, 2.6)


def low_contrast(image: Plane) -> Plane:
    """Nearer to its own mean: between 0.2 and 0.5 of the distance."""
    return image.mean() + np.random.uniform(0.2, 0.5) * (image - image.mean())


def noise(image: Plane) -> Plane:
    """White Gaussian noise of a standard deviation between 0.04 and 0.12."""
    return image + np.random.normal(0, np.random.uniform(0.04, 0.12), image.shape)


#: What can befall a pair: the source it befalls, and how. `none` leaves the pair as it is.
DEGRADATIONS: dict[str, tuple[str, Callable[[Plane], Plane]]] = {
    'none': ('a', np.copy),
    'low_light_visible': ('b', low_light),
    'over_exposed_visible': ('b', over_exposure),
    'low_contrast_infrared': ('a', low_contrast),
    'noisy_infrared': ('a', noise)}


def check_kinds(kinds: Sequence[str]) -> None:
    """Raises ConfigError where a degradation is not known."""
    for kind in kinds:
        if kind not in DEGRADATIONS:
            raise ConfigError(f'Unknown degradation {kind!r}.', did_you_mean(str(kind), DEGRADATIONS))


@TRANSFORMS.register_module()
class Degrade(BaseTransform):
    """Draw a degradation, apply it to its source, and put the text of an instruction about it in place of the pair's.

    The clean sources go to `target_a` and `target_b`, and the name to `degradation`. The data set must be an
    `InstructedPairs`, which carries the features of all instructions.

    Args:
        kinds: the degradations to draw from, each as likely as the others.
        unnamed: the share of degraded samples whose instruction is that of `none`. Their target is the degraded pair
            itself, so that one image may be asked for mended or as it is. 0 is as published.

    Raises:
        ConfigError: a degradation is not known, or none is given.
    """

    def __init__(self, kinds: Sequence[str] = tuple(DEGRADATIONS), unnamed: float = 0.0):
        if not kinds:
            raise ConfigError('Degrade has no kinds to draw from.', f'Give some of {", ".join(DEGRADATIONS)}.')
        check_kinds(kinds)
        self.kinds, self.unnamed = list(kinds), unnamed

    def transform(self, results: dict) -> dict:
        """Raises ConfigError where the data set carries no instructions."""
        if 'instructions' not in results:
            raise ConfigError('Degrade wants an instruction, but the data set carries none.',
                              "Use type='vlfusion_textif.InstructedPairs'.")
        kind = self.kinds[np.random.randint(len(self.kinds))]
        source, damage = DEGRADATIONS[kind]
        clean = {key: results[key] for key in ('img_a', 'img_b')}
        damaged = damage(clean[f'img_{source}']).clip(0, 1).astype(np.float32)
        results = {**results, f'img_{source}': damaged}
        if np.random.random() < self.unnamed:
            kind, clean = 'none', {key: results[key] for key in clean}
        results |= {'target_a': clean['img_a'], 'target_b': clean['img_b'], 'degradation': kind}
        results['text'], results['text_mask'] = results['instructions'].draw(kind)
        return results


@TRANSFORMS.register_module()
class PackDegraded(PackPair):
    """As `PackPair`, with the targets, `(1, h, w)` in [0, 1], and the name of the degradation in the sample."""

    def transform(self, results: dict) -> dict:
        sample = super().transform(results)
        for key in ('target_a', 'target_b'):
            sample[key] = torch.from_numpy(np.ascontiguousarray(results[key], np.float32))[None]
        return sample | {'degradation': results['degradation']}
