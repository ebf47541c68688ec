"""Degraded pairs with the instruction that belongs to them, and the clean pair as the target.

Text-IF trains on EMS, pairs of public data sets with degradations and hand-restored truths. Here the degradation is
drawn afresh for every sample, from pairs that are taken for clean:

    pipeline=[dict(type='LoadPair'), dict(type='BothSources', transforms=[...]),
              dict(type='vlfusion_textif.Degrade', instructions=dict(none=['Fuse them.'], ...), language=language),
              dict(type='vlfusion_textif.PackDegraded')]
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from mmcv.transforms import BaseTransform

from vlfusion.data.text import pad
from vlfusion.data.transforms import PackPair
from vlfusion.errors import ConfigError, DataError, did_you_mean, listing
from vlfusion.language.keys import Keys
from vlfusion.language.section import section
from vlfusion.language.store import TextStore
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


def check_kinds(kinds: Iterable[str]) -> None:
    """Raises ConfigError where a degradation is not known."""
    for kind in kinds:
        if kind not in DEGRADATIONS:
            raise ConfigError(f'Unknown degradation {kind!r}.', did_you_mean(str(kind), DEGRADATIONS))


def read_instructions(language: Mapping, instructions: Mapping[str, Sequence[str]],
                      kinds: Collection[str] = DEGRADATIONS) -> dict[str, list[Float[np.ndarray, '_ dim']]]:
    """The features of the sentences about some degradations, from the text store that `vlfusion describe` fills.

    Args:
        language: the `language` section of a config; its store and its encoder count.
        instructions: for each degradation, sentences about it.
        kinds: the degradations that are wanted.

    Raises:
        ConfigError: there is no sentence about one of them.
        DataError: sentences are not encoded yet; all of them are named.
    """
    store, keys = TextStore(section(language, 'store')), Keys(language)
    for kind in kinds:
        if not instructions.get(kind):
            raise ConfigError(f'There is no instruction about {kind!r}.', did_you_mean(kind, instructions))
    missing = [sentence for kind in kinds for sentence in instructions[kind]
               if not store.has('features', keys.fixed(sentence))]
    if missing:
        raise DataError(f'{len(missing)} instructions are not encoded yet in {store.root}:\n'
                        f'{listing(missing, len(missing))}',
                        'Run `vlfusion describe CONFIG` with the config of this run, where language.fixed names them.')
    return {kind: [store.features(keys.fixed(sentence)).astype(np.float32) for sentence in instructions[kind]]
            for kind in kinds}


@TRANSFORMS.register_module()
class Degrade(BaseTransform):
    """Draw a degradation, apply it to its source, and put the text of an instruction about it in place of the pair's.

    The clean sources go to `target_a` and `target_b`, and the name to `degradation`. Texts are padded to the longest
    sentence, or to the length of the pair's own text where that is longer.

    Args:
        instructions: for each degradation, sentences about it, of which each sample gets one at random.
        language: the `language` section of the config, under which `vlfusion describe` has encoded the sentences.
        kinds: the degradations to draw from, each as likely as the others.
        unnamed: the share of degraded samples whose instruction is that of `none`. Their target is the degraded pair
            itself, so that one image may be asked for mended or as it is. 0 is as published.

    Raises:
        ConfigError: a degradation is not known or has no sentence, or none is given.
        DataError: a sentence is not encoded yet.
    """

    def __init__(self, instructions: Mapping[str, Sequence[str]], *, language: Mapping,
                 kinds: Sequence[str] = tuple(DEGRADATIONS), unnamed: float = 0.0):
        if not kinds:
            raise ConfigError('Degrade has no kinds to draw from.', f'Give some of {", ".join(DEGRADATIONS)}.')
        check_kinds(kinds)
        self.kinds, self.unnamed = list(kinds), unnamed
        self.features = read_instructions(language, instructions, [*kinds, 'none'] if unnamed else kinds)
        self.tokens = max(len(row) for rows in self.features.values() for row in rows)

    def transform(self, results: dict) -> dict:
        """Raises ConfigError where the pair has no text, or one of another width than the instructions."""
        if 'text' not in results:
            raise ConfigError('Degrade replaces the text of a pair, but the data set gives it none.',
                              "Set text_source=dict(fixed='...') to the sentence that testing says.")
        kind = self.kinds[np.random.randint(len(self.kinds))]
        source, damage = DEGRADATIONS[kind]
        clean = {key: results[key] for key in ('img_a', 'img_b')}
        damaged = damage(clean[f'img_{source}']).clip(0, 1).astype(np.float32)
        results = {**results, f'img_{source}': damaged}
        if np.random.random() < self.unnamed:
            kind, clean = 'none', {key: results[key] for key in clean}
        results |= {'target_a': clean['img_a'], 'target_b': clean['img_b'], 'degradation': kind}
        said = self.features[kind][np.random.randint(len(self.features[kind]))]
        length, width = results['text'].shape
        if said.shape[1] != width:
            raise ConfigError(f'The instructions of Degrade have features of width {said.shape[1]}, the text of the '
                              f'data set has {width}.', "Give Degrade the config's own language section.")
        results['text'], results['text_mask'] = pad(said, max(length, self.tokens))
        return results


@TRANSFORMS.register_module()
class PackDegraded(PackPair):
    """As `PackPair`, with the targets, `(1, h, w)` in [0, 1], and the name of the degradation in the sample."""

    def transform(self, results: dict) -> dict:
        sample = super().transform(results)
        for key in ('target_a', 'target_b'):
            sample[key] = torch.from_numpy(np.ascontiguousarray(results[key], np.float32))[None]
        return sample | {'degradation': results['degradation']}
