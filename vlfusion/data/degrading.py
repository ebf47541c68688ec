"""Degraded pairs with a matching instruction, and the clean pair as the target.

Methods such as Text-IF and ControlFusion learn to restore while they fuse. Here a degradation is drawn for every sample
and applied to a pair that is assumed to be clean. A method derives its own transform, which holds the degradations:

    @TRANSFORMS.register_module()
    class Degrade(vlfusion.data.degrading.Degrade):
        degradations = {'none': {}, 'low_light_visible': {'b': low_light}}

    pipeline=[dict(type='LoadPair'), dict(type='BothSources', transforms=[...]),
              dict(type='my_plugin.Degrade', instructions=dict(none=['Fuse them.'], ...), language=language),
              dict(type='PackDegraded')]

`vlfusion.models.CleanTargetModel` trains on these samples.
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
from vlfusion.language.store import open_store
from vlfusion.registry import TRANSFORMS

Plane = Float[np.ndarray, 'h w']
#: What a degradation does to each source that it changes, `a` or `b`. An empty one leaves the pair as it is.
Degradation = Mapping[str, Callable[[Plane], Plane]]


def degrade(degradation: Degradation, images: Mapping[str, Plane]) -> dict[str, Plane]:
    """Degrade the images of a pair, float32 in [0, 1], by source; the result is clipped to that range.

    >>> degrade({'b': lambda image: image + 0.75}, {'a': np.full((1, 2), 0.5), 'b': np.full((1, 2), 0.5)})['b']
    array([[1., 1.]], dtype=float32)
    """
    return {source: degradation[source](image).clip(0, 1).astype(np.float32) if source in degradation else image
            for source, image in images.items()}


def check_kinds(kinds: Iterable[str], known: Collection[str]) -> None:
    """Raise ConfigError if a degradation is unknown."""
    for kind in kinds:
        if kind not in known:
            raise ConfigError(f'Unknown degradation {kind!r}.', did_you_mean(str(kind), known))


def read_instructions(language: Mapping, instructions: Mapping[str, Sequence[str]],
                      kinds: Collection[str]) -> dict[str, list[Float[np.ndarray, '_ dim']]]:
    """Read the features of sentences about degradations, from the text store that `vlfusion describe` fills.

    Args:
        language: `language` section of a config, which names the store and the encoder.
        instructions: for each degradation, sentences about it.
        kinds: degradations to read.

    Returns:
        For each degradation, the features `(token, dim)` of its sentences.

    Raises:
        ConfigError: a degradation has no sentence.
        DataError: sentences are not encoded yet; the message lists them all.
    """
    store, keys = open_store(section(language, 'store')), Keys(language)
    for kind in kinds:
        if not instructions.get(kind):
            raise ConfigError(f'`instructions` has no sentence about {kind!r}.', did_you_mean(kind, instructions))
    missing = [sentence for kind in kinds for sentence in instructions[kind]
               if not store.has('features', keys.fixed(sentence))]
    if missing:
        raise DataError(f'{len(missing)} instructions are not encoded yet in {store.root}:\n'
                        f'{listing(missing, len(missing))}',
                        'Run `vlfusion describe CONFIG` with the config of this run, whose language.fixed lists them.')
    return {kind: [store.features(keys.fixed(sentence)).astype(np.float32) for sentence in instructions[kind]]
            for kind in kinds}


class Degrade(BaseTransform):
    """Draw a degradation, apply it to the pair, and replace the text of the pair by an instruction about it.

    The clean sources go to `target_a` and `target_b`, the name of the degradation to `degradation`. Texts are padded to
    the longest sentence, or to the length of the pair's own text if that is longer.

    Args:
        instructions: for each degradation, sentences about it; each sample gets one at random.
        language: `language` section of the config with which `vlfusion describe` encoded the sentences.
        kinds: degradations to draw from, all equally likely; by default all.
        unnamed: share of samples that get an instruction of `none`. Their target is the degraded pair itself, so only
            the text says whether to fix an image. Published methods use 0.

    Attributes:
        degradations: the degradations by name, set by the derived class.

    Raises:
        ConfigError: a degradation is unknown or has no sentence, or `kinds` is empty.
        DataError: a sentence is not encoded yet.
    """

    degradations: Mapping[str, Degradation] = {}

    def __init__(self, instructions: Mapping[str, Sequence[str]], *, language: Mapping,
                 kinds: Sequence[str] | None = None, unnamed: float = 0.0):
        kinds = list(self.degradations if kinds is None else kinds)
        if not kinds:
            raise ConfigError('Degrade got no kinds to draw from.', f'Give some of {", ".join(self.degradations)}.')
        check_kinds(kinds, self.degradations)
        self.kinds, self.unnamed = kinds, unnamed
        self.features = read_instructions(language, instructions, [*kinds, 'none'] if unnamed else kinds)
        self.tokens = max(len(row) for rows in self.features.values() for row in rows)

    def transform(self, results: dict) -> dict:
        """Raise ConfigError if the pair has no text, or its width differs from that of the instructions."""
        if 'text' not in results:
            raise ConfigError('Degrade replaces the text of a pair, but the data set gives it none.',
                              "Set text_source=dict(fixed='...') to the sentence used in testing.")
        kind = self.kinds[np.random.randint(len(self.kinds))]
        clean = {source: results[f'img_{source}'] for source in 'ab'}
        damaged = degrade(self.degradations[kind], clean)
        unnamed = np.random.random() < self.unnamed
        kind, target = ('none', damaged) if unnamed else (kind, clean)
        instruction = self.features[kind][np.random.randint(len(self.features[kind]))]
        length, width = results['text'].shape
        if instruction.shape[1] != width:
            raise ConfigError(f'The instructions of Degrade have features of width {instruction.shape[1]}, the text of '
                              f'the data set has {width}.', "Give Degrade the config's own language section.")
        text, mask = pad(instruction, max(length, self.tokens))
        return results | {f'img_{source}': image for source, image in damaged.items()} | {
            f'target_{source}': image for source, image in target.items()} | dict(
            degradation=kind, text=text, text_mask=mask)


@TRANSFORMS.register_module()
class PackDegraded(PackPair):
    """`PackPair` that also packs the targets, `(1, h, w)` in [0, 1], and the name of the degradation."""

    def transform(self, results: dict) -> dict:
        sample = super().transform(results)
        for key in ('target_a', 'target_b'):
            sample[key] = torch.from_numpy(np.ascontiguousarray(results[key], np.float32))[None]
        return sample | {'degradation': results['degradation']}


# ---------------------------------------------------------------------------- degradations that several methods share


def low_light(image: Plane, gammas: Sequence[float] = (2, 4)) -> Plane:
    """Darken by a gamma between two values."""
    return image**np.random.uniform(*gammas)


def over_exposure(image: Plane, factors: Sequence[float] = (1.6, 2.6)) -> Plane:
    """Brighten by a factor between two values; the caller clips at white."""
    return image * np.random.uniform(*factors)
