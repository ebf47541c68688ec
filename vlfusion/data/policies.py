"""Whose text a pair is given: its own, or one that tells whether the own mattered.

    vlfusion test CONFIG CHECKPOINT --cfg-options text_policy=swapped

| policy | the text of a pair |
|---|---|
| `own` | its own |
| `empty` | the empty text, as the encoder gives it: start and end tokens, or what it has in their place |
| `zero` | its own, every number of it 0 |
| `swapped` | that of another pair of the data set, never its own |
| `shuffled` | its own, the tokens in another order |
| `noise` | Gaussian noise, each token as long as its own |
| `dict(fixed='...')` | one sentence for all |

What is drawn depends on the names of the pairs alone, so that two runs compare the same.
"""

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from vlfusion.data.pairs import Pair
from vlfusion.data.text import FixedText, TextSource
from vlfusion.errors import ConfigError, did_you_mean


class ChangedText(TextSource):
    """The text of a pair, changed.

    Args:
        source: of the own texts.
    """

    def __init__(self, source: TextSource):
        self.source, self.remedy = source, source.remedy

    def load(self, pair: Pair) -> Float[np.ndarray, 'token dim']:
        return self.change(self.source.load(pair), np.random.default_rng(zlib.crc32(pair.name.encode())))

    def change(self, text: Float[np.ndarray, 'token dim'],
               generator: np.random.Generator) -> Float[np.ndarray, 'token dim']:
        """The text as the model gets it; the generator is the pair's own."""
        raise NotImplementedError


class ZeroText(ChangedText):
    """Zeros in the place of every feature."""

    def change(self, text, generator):
        return np.zeros_like(text)


class ShuffledText(ChangedText):
    """The tokens in another order, which a model that pools them cannot notice."""

    def change(self, text, generator):
        return generator.permutation(text)


class NoiseText(ChangedText):
    """Gaussian noise, each token scaled to the norm of the own one."""

    def change(self, text, generator):
        noise = generator.normal(size=text.shape)
        norms = np.linalg.norm(text, axis=1, keepdims=True) / np.linalg.norm(noise, axis=1, keepdims=True)
        return (norms * noise).astype(np.float32)


class SwappedText(TextSource):
    """The text of another pair: all pairs stand in a ring, drawn once, and each has its neighbour's.

    Args:
        source: of the own texts.
    """

    def __init__(self, source: TextSource):
        self.source, self.remedy = source, source.remedy
        self._neighbours: dict[str, Pair] = {}

    def check(self, pairs: Sequence[Pair]) -> None:
        if len(pairs) < 2:
            raise ConfigError('A single pair has no other whose text it could be given.',
                              "Use a data set of two pairs or more, or text_policy='empty'.")
        ordered = sorted(pairs, key=lambda pair: pair.name)
        ring = [ordered[index] for index in np.random.default_rng(0).permutation(len(ordered))]
        self._neighbours = {pair.name: other for pair, other in zip(ring, ring[1:] + ring[:1], strict=True)}
        super().check(pairs)

    def load(self, pair: Pair) -> Float[np.ndarray, 'token dim']:
        return self.source.load(self._neighbours[pair.name])

    def shape(self, pair: Pair) -> tuple[int, int]:
        return self.source.shape(self._neighbours[pair.name])


POLICIES = {'swapped': SwappedText, 'shuffled': ShuffledText, 'noise': NoiseText, 'zero': ZeroText}


def under_policy(source: TextSource, policy: str | Mapping, language: dict | None) -> TextSource:
    """A text source as a policy changes it.

    Args:
        source: of the own texts.
        policy: one of the table above.
        language: the config's language section, whose store has the empty and the fixed text.

    Raises:
        ConfigError: there is no such policy, or it needs a language section and there is none.
    """
    if policy == 'own':
        return source
    if isinstance(policy, str) and policy in POLICIES:
        return POLICIES[policy](source)
    if policy != 'empty' and not (isinstance(policy, Mapping) and set(policy) == {'fixed'}):
        raise ConfigError(f'There is no text policy {policy!r}.',
                          did_you_mean(str(policy), ['own', 'empty', *POLICIES]) + " Or write dict(fixed='...').")
    if not language:
        raise ConfigError(f'The text policy {policy!r} needs a text encoder, but there is no language section.',
                          "Add one, or use text_policy='zero'.")
    return FixedText(language, fixed_text(policy))


def fixed_text(policy: str | Mapping | None) -> str | None:
    """The text that a policy gives every pair, which `vlfusion describe` encodes; None if it gives none."""
    return '' if policy == 'empty' else policy['fixed'] if isinstance(policy, Mapping) else None
