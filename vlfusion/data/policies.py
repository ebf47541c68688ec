"""Text policies: a pair is given its own text, or one that tells whether the own mattered.

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

`borrow` gives the pairs of a data set the texts of another one, such as that of another task; no config says so, for it
takes the other data set itself. `vlfusion ablate-text` compares them all.

What is drawn depends on the names of the pairs alone, so that two runs compare the same.
"""

import zlib
from collections.abc import Mapping, Sequence
from copy import copy
from itertools import cycle
from typing import Any

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
    """Zeros in place of every feature."""

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
        ring = _ring(pairs)
        self._neighbours = {pair.name: other for pair, other in zip(ring, ring[1:] + ring[:1], strict=True)}
        super().check(pairs)

    def load(self, pair: Pair) -> Float[np.ndarray, 'token dim']:
        return self.source.load(self._neighbours[pair.name])

    def shape(self, pair: Pair) -> tuple[int, int]:
        return self.source.shape(self._neighbours[pair.name])

    def words(self, pair: Pair) -> dict[str, str]:
        return self.source.words(self._neighbours[pair.name])


class BorrowedText(TextSource):
    """The text of a pair of another data set, whose pairs stand in a ring, drawn once, and are dealt out in turn.

    Args:
        source: of the other data set's texts, which were checked.
        givers: the pairs of the other data set.
    """

    def __init__(self, source: TextSource, givers: Sequence[Pair]):
        self.source, self.remedy, self.givers = source, source.remedy, givers
        self._given: dict[str, Pair] = {}

    def check(self, pairs: Sequence[Pair]) -> None:
        ordered = sorted(pairs, key=lambda pair: pair.name)
        self._given = {pair.name: giver for pair, giver in zip(ordered, cycle(_ring(self.givers)), strict=False)}
        super().check(pairs)

    def load(self, pair: Pair) -> Float[np.ndarray, 'token dim']:
        return self.source.load(self._given[pair.name])

    def shape(self, pair: Pair) -> tuple[int, int]:
        return self.source.shape(self._given[pair.name])

    def words(self, pair: Pair) -> dict[str, str]:
        return self.source.words(self._given[pair.name])


def _ring(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs in an order that depends on their names alone."""
    ordered = sorted(pairs, key=lambda pair: pair.name)
    return [ordered[index] for index in np.random.default_rng(0).permutation(len(ordered))]


def borrow(dataset: Any, other: Any) -> Any:
    """A data set whose pairs are given the texts of another one's; the data set itself stays as it is.

    Args:
        dataset: a `PairDataset` that reads text.
        other: one that reads the same texts, of other pairs; perhaps of another task.

    Returns:
        A shallow copy, whose texts are padded as those of `dataset` are, or further where they are longer.

    Raises:
        ConfigError: the other reads another text, features of another width, or the same pairs.
        DataError: a text of the other is missing.
    """
    if same := {pair.path_a.resolve() for pair in dataset.pairs} & {pair.path_a.resolve() for pair in other.pairs}:
        raise ConfigError(f'{other.name} cannot give {dataset.name} its texts: both have the pair of {min(same)}.',
                          "Name a data set of other pairs, or use text_policy='swapped'.")
    borrowed = copy(dataset)
    borrowed.text_sources, borrowed.text_dims, borrowed.text_lengths = {}, {}, {}
    for key, width in dataset.text_dims.items():
        if other.text_dims.get(key) != width:
            found = f'features of width {other.text_dims[key]}' if key in other.text_dims else 'none'
            raise ConfigError(f'{dataset.name} reads {key} features of width {width}, but {other.name} has {found}.',
                              'Describe both with one text encoder, and give both the same text_source.')
        source = BorrowedText(other.text_sources[key], other.pairs)
        source.check(dataset.pairs)
        borrowed.text_sources[key], borrowed.text_dims[key] = source, source.dim
        borrowed.text_lengths[key] = max(dataset.text_lengths[key], source.length(dataset.pairs))
    return borrowed


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
