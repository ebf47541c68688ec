"""Instructions of a pair: sentences drawn from a vocabulary, with the numbers and the region that they ask for."""

from collections.abc import Mapping
from dataclasses import astuple
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vlfusion.data.names import require_keywords
from vlfusion.data.pairs import Pair
from vlfusion.data.regions import region_weight
from vlfusion.data.text import pad
from vlfusion.errors import ConfigError, DataError
from vlfusion.language.instructions import REGIONS, Ask, Instruction, Vocabulary
from vlfusion.language.keys import Keys
from vlfusion.language.section import section, section_of
from vlfusion.language.store import open_store


class Instructions:
    """Several instructions for each pair, drawn for each sample. The first one is always empty.

    A sample gets, for `count` instructions and the empty one:

    - `instruction` (or another name of the text): features `(count + 1, token, dim)`, and `instruction_mask`; an empty
      instruction has no real token
    - `ask`: `(count + 1, 8)`, the numbers of each one, in the order of the fields of `Ask`
    - `region`: `(count + 1, h, w)`, its weight at each pixel in [0, 1]

    Args:
        language: language section of the config, of which the store and the encoder of instructions are used.
        vocabulary: name or file of the vocabulary, see `vlfusion.language.instructions.Vocabulary`.
        count: number of instructions for each sample, beside the empty one.
        pool: number of distinct sentences to draw from, for each two modalities; all are encoded once.
        held_out: draw paraphrases that are held out from training.
        intents: intents to draw; None for all.
        regions: regions to draw; None for all.
        joined: chance that two instructions are joined to one.
        dropped: chance that a token is left out, so that a network does not learn sentences by heart. The first stays.
        stream: name of the text of the backbone that reads the instruction.
        encode_empty: encode the empty text too, for backbones that need a token of every text.

    Raises:
        ConfigError: an argument has a wrong value.
    """

    def __init__(self, language: Mapping, vocabulary: str = 'fusion.v2', count: int = 4, pool: int = 1500,
                 held_out: bool = False, intents: list[str] | None = None, regions: list[str] | None = None,
                 joined: float = 0.15, dropped: float = 0., stream: str = 'instruction', encode_empty: bool = False):
        if count < 1 or pool < count:
            raise ConfigError(f'Expected count >= 1 and pool >= count, got count={count} and pool={pool}.',
                              'Correct `instructions` of the data set.')
        if boxed := [region for region in regions or () if region not in REGIONS]:
            raise ConfigError(f'instructions.regions names {boxed[0]!r}, whose place in an image is not known.',
                              f'Choose among {", ".join(map(repr, REGIONS))}.')
        require_keywords([stream], 'text', "stream='instruction'")
        self.vocabulary, self.count, self.stream = Vocabulary.read(vocabulary), count, stream
        self.encode_empty, self.dropped = encode_empty, dropped
        self._options = dict(size=pool, held_out=held_out, intents=intents, regions=regions, joined=joined)
        self.store, self.keys = open_store(section(language, 'store')), Keys(section_of(stream, language))
        self._pools: dict[tuple[str, str], list[Instruction]] = {}
        self._features: dict[str, Float[np.ndarray, 'token dim']] = {}

    def pool(self, pair: Pair) -> list[Instruction]:
        """Return the sentences that a pair can get; they depend on its two modalities."""
        kind = pair.modality_a, pair.modality_b
        if kind not in self._pools:
            self._pools[kind] = self.vocabulary.pool(modality_a=kind[0], modality_b=kind[1], **self._options)
        return self._pools[kind]

    def texts(self, pairs: list[Pair]) -> list[str]:
        """Return all sentences that the pairs can get, each once, for an encoder."""
        kinds = {(pair.modality_a, pair.modality_b): pair for pair in pairs}
        texts = [instruction.text for pair in kinds.values() for instruction in self.pool(pair)]
        return list(dict.fromkeys([*([''] if self.encode_empty else []), *texts]))

    def check(self, pairs: list[Pair]) -> None:
        """Read the features of all sentences; raise DataError if some are not encoded yet."""
        texts = self.texts(pairs)
        missing = [text for text in texts if not self.store.has('features', self.keys.fixed(text))]
        if missing:
            raise DataError(f'{len(missing)} of {len(texts)} instructions are not encoded yet, such as {missing[0]!r}.',
                            'Run `vlfusion describe CONFIG` with the config of this run: it encodes each once.')
        self._features = {text: self.store.features(self.keys.fixed(text)).astype(np.float32) for text in texts}

    @cached_property
    def dim(self) -> int:
        """Width of the features."""
        return next(iter(self._features.values())).shape[1]

    @cached_property
    def length(self) -> int:
        """Number of rows that all features are padded to."""
        return max(map(len, self._features.values()))

    def draw(self, pair: Pair, source_a: Float[Tensor, '1 h w'], source_b: Float[Tensor, '1 h w'],
             seed: int) -> dict[str, Tensor]:
        """Draw the instructions of a sample of the pair, after its crop."""
        rng, pool = np.random.default_rng(seed), self.pool(pair)
        drawn = [pool[index] for index in rng.choice(len(pool), self.count, replace=False)]
        empty = Instruction(text='', intent='neutral', degree='', region='', ask=Ask())
        brightest = torch.maximum(source_a, source_b)[0].numpy()
        texts = [self._padded(instruction.text) for instruction in (empty, *drawn)]
        mask = np.stack([mask for _, mask in texts])
        mask[:, 1:] &= rng.random(mask[:, 1:].shape) >= self.dropped
        return {
            self.stream: torch.from_numpy(np.stack([features for features, _ in texts])),
            f'{self.stream}_mask': torch.from_numpy(mask),
            'ask': torch.tensor([astuple(instruction.ask) for instruction in (empty, *drawn)]),
            'region': torch.from_numpy(np.stack([region_weight(instruction.region, brightest)
                                                 for instruction in (empty, *drawn)]))}

    def _padded(self, text: str) -> tuple[Float[np.ndarray, 'token dim'], np.ndarray]:
        if not text and not self.encode_empty:
            return np.zeros((self.length, self.dim), np.float32), np.zeros(self.length, bool)
        return pad(self._features[text], self.length)
