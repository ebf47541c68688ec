"""Text policies: give each pair its own text, or another one to test whether its own text matters.

    vlfusion test CONFIG CHECKPOINT --cfg-options text_policy=swapped

| policy | the text of a pair |
|---|---|
| `own` | its own |
| `empty` | the empty text as the encoder encodes it, for example as start and end tokens |
| `zero` | its own with all numbers set to 0 |
| `swapped` | the text of another pair of the data set, never its own |
| `shuffled` | its own with the tokens in another order |
| `noise` | Gaussian noise; each token keeps the norm of its own text's token |
| `dict(fixed='...')` | one sentence for all pairs |

`borrow` gives the pairs of a data set the texts of another data set, for example of another task. It is not a policy of
configs, since it needs the other data set itself. `vlfusion ablate-text` compares all of them.

Random choices depend on the names of the pairs alone, so two runs compare the same texts.
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
    """A changed version of each pair's own text.

    Args:
        source: source of the pairs' own texts.
    """

    def __init__(self, source: TextSource):
        self.source, self.remedy = source, source.remedy

    def load(self, pair: Pair) -> Float[np.ndarray, 'token dim']:
        return self.change(self.source.load(pair), np.random.default_rng(zlib.crc32(pair.name.encode())))

    def change(self, text: Float[np.ndarray, 'token dim'],
               generator: np.random.Generator) -> Float[np.ndarray, 'token dim']:
        """Return the text for the model. The generator is seeded by the name of the pair."""
        raise NotImplementedError


class ZeroText(ChangedText):
    """Replace all features by zeros."""

    def change(self, text, generator):
        return np.zeros_like(text)


class ShuffledText(ChangedText):
    """Shuffle the tokens, which does not affect a model that pools them."""

    def change(self, text, generator):
        return generator.permutation(text)


class NoiseText(ChangedText):
    """Replace each token by Gaussian noise of the same norm."""

    def change(self, text, generator):
        noise = generator.normal(size=text.shape)
        norms = np.linalg.norm(text, axis=1, keepdims=True) / np.linalg.norm(noise, axis=1, keepdims=True)
        return (norms * noise).astype(np.float32)


class SwappedText(TextSource):
    """The text of another pair. All pairs form a fixed random ring, and each gets the text of its neighbour.

    Args:
        source: source of the pairs' own texts.
    """

    def __init__(self, source: TextSource):
        self.source, self.remedy = source, source.remedy
        self._neighbours: dict[str, Pair] = {}

    def check(self, pairs: Sequence[Pair]) -> None:
        if len(pairs) < 2:
            raise ConfigError(f"text_policy='swapped' needs at least two pairs, but the data set has {len(pairs)}.",
                              "Use a larger data set, or text_policy='empty'.")
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
    """The text of a pair of another data set, whose pairs are assigned in turn from a fixed random ring.

    Args:
        source: source of the other data set's texts, already checked.
        givers: pairs of the other data set.
    """

    def __init__(self, source: TextSource, givers: Sequence[Pair]):
        self.source, self.remedy, self.givers = source, source.remedy, givers
        self._giver_of: dict[str, Pair] = {}

    def check(self, pairs: Sequence[Pair]) -> None:
        ordered = sorted(pairs, key=lambda pair: pair.name)
        self._giver_of = {pair.name: giver for pair, giver in zip(ordered, cycle(_ring(self.givers)), strict=False)}
        super().check(pairs)

    def load(self, pair: Pair) -> Float[np.ndarray, 'token dim']:
        return self.source.load(self._giver_of[pair.name])

    def shape(self, pair: Pair) -> tuple[int, int]:
        return self.source.shape(self._giver_of[pair.name])

    def words(self, pair: Pair) -> dict[str, str]:
        return self.source.words(self._giver_of[pair.name])


def _ring(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the pairs in a random order that depends on their names alone."""
    ordered = sorted(pairs, key=lambda pair: pair.name)
    return [ordered[index] for index in np.random.default_rng(0).permutation(len(ordered))]


def borrow(dataset: Any, other: Any) -> Any:
    """Return a copy of a data set whose pairs get the texts of another data set.

    Args:
        dataset: a `PairDataset` that reads text.
        other: a data set of other pairs that reads texts by the same keywords; its task may differ.

    Returns:
        A shallow copy. Its texts are padded as those of `dataset`, or further if they are longer.

    Raises:
        ConfigError: the other data set reads other texts, has features of another width, or has the same pairs.
        DataError: a text of the other data set is missing.
    """
    if same := {pair.path_a.resolve() for pair in dataset.pairs} & {pair.path_a.resolve() for pair in other.pairs}:
        raise ConfigError(f'{other.name} cannot give {dataset.name} its texts: both have the pair of {min(same)}.',
                          "Name a data set of other pairs, or use text_policy='swapped'.")
    borrowed = copy(dataset)
    borrowed.text_sources, borrowed.text_dims, borrowed.text_lengths = {}, {}, {}
    for key, width in dataset.text_dims.items():
        if other.text_dims.get(key) != width:
            actual = f'features of width {other.text_dims[key]}' if key in other.text_dims else 'none'
            raise ConfigError(f'{dataset.name} reads {key} features of width {width}, but {other.name} has {actual}.',
                              'Describe both with one text encoder, and give both the same text_source.')
        source = BorrowedText(other.text_sources[key], other.pairs)
        source.check(dataset.pairs)
        borrowed.text_sources[key], borrowed.text_dims[key] = source, source.dim
        borrowed.text_lengths[key] = max(dataset.text_lengths[key], source.length(dataset.pairs))
    return borrowed


POLICIES = {'swapped': SwappedText, 'shuffled': ShuffledText, 'noise': NoiseText, 'zero': ZeroText}


def under_policy(source: TextSource, policy: str | Mapping, language: dict | None) -> TextSource:
    """Apply a policy to a text source.

    Args:
        source: source of the pairs' own texts.
        policy: a policy of the table above.
        language: language section of the config, whose store holds the empty and the fixed text.

    Raises:
        ConfigError: the policy is unknown, or needs a language section that is missing.
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
    """Return the text that a policy gives every pair, which `vlfusion describe` encodes; None for other policies."""
    return '' if policy == 'empty' else policy['fixed'] if isinstance(policy, Mapping) else None
