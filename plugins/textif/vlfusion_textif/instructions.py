"""Instructions: sentences that name a degradation, their features in one file, and a data set that carries them.

`python -m vlfusion_textif encode CONFIG` writes the file that CONFIG's text_source names. It is safetensors: features
`(token, dim)` under `noisy_infrared/0`, `noisy_infrared/1`, ..., with the sentences and the encoder as metadata.
Training and testing read it and need no text encoder.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from vlfusion.data.dataset import PairDataset
from vlfusion.data.pairs import Pair
from vlfusion.data.text import TextSource, pad
from vlfusion.errors import ConfigError, DataError, did_you_mean
from vlfusion.registry import DATASETS, TEXT_ENCODERS

#: The sentences of each degradation. The first is the one that testing says.
SENTENCES: dict[str, tuple[str, ...]] = {
    'none': ('Fuse the infrared and the visible image.',
             'Combine both images into one and leave their quality as it is.',
             'Neither image needs repair; merge them.'),
    'low_light_visible': ('Fuse the images; the visible one was taken in low light and is too dark.',
                          'Brighten the dark visible image while fusing.',
                          'It was night: the visible image is underexposed, please correct that.'),
    'over_exposed_visible': ('Fuse the images; the visible one is overexposed.',
                             'The visible image is washed out by too much light, restore it while fusing.',
                             'Tone down the glaring visible image and merge it with the infrared one.'),
    'low_contrast_infrared': ('Fuse the images; the infrared one has low contrast.',
                              'The thermal image is flat, raise its contrast while fusing.',
                              'Make the faint infrared image stand out and merge it with the visible one.'),
    'noisy_infrared': ('Fuse the images; the infrared one is noisy.',
                       'Remove the noise of the infrared image while fusing.',
                       'The thermal image is full of grain, please denoise it and merge both.')}


class Instructions(TextSource):
    """The features of every instruction. As a text source, it gives all pairs the same one.

    Args:
        instructions: the file; see this module.
        instruction: the degradation whose first sentence is every pair's text.
        encoder: config of the text encoder that made, or is to make, the file.

    Attributes:
        dim: width of the features.
        tokens: the most tokens that any sentence has; all are padded to that.

    Raises:
        DataError: the file is absent or damaged.
        ConfigError: it was made by another encoder, or has no such instruction.
    """

    def __init__(self, instructions: str | os.PathLike, instruction: str = 'none', encoder: Mapping | None = None):
        self.remedy = 'Run `python -m vlfusion_textif encode CONFIG` with the config of this run.'
        try:
            with safe_open(instructions, 'numpy') as file:
                made_by = json.loads(file.metadata()['encoder'])
                rows = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - it is no dict
        except (OSError, SafetensorError, TypeError, KeyError) as error:
            raise DataError(f'{instructions} cannot be read as features of instructions: {error}',
                            self.remedy) from error
        if encoder is not None and made_by != json.loads(json.dumps(encoder)):
            raise ConfigError(f'{instructions} was made by the encoder {made_by}; the config names {dict(encoder)}.',
                              f'{self.remedy} Or give it another file name.')
        self.rows: dict[str, list[np.ndarray]] = {}
        for key in sorted(rows, key=lambda key: int(key.partition('/')[2])):
            self.rows.setdefault(key.partition('/')[0], []).append(rows[key].astype(np.float32))
        self.tokens = max(map(len, rows.values()))
        self.dim = next(iter(rows.values())).shape[1]
        self.instruction = instruction
        self._of(instruction)

    def load(self, pair: Pair) -> Float[np.ndarray, 'token dim']:
        return self._of(self.instruction)[0]

    def draw(self, name: str) -> tuple[Float[np.ndarray, 'token dim'], Bool[np.ndarray, 'token']]:
        """The padded features and the mask of a random sentence about a degradation."""
        rows = self._of(name)
        return pad(rows[np.random.randint(len(rows))], self.tokens)

    def _of(self, name: str) -> list[np.ndarray]:
        if name not in self.rows:
            raise ConfigError(f'There is no instruction about {name!r}.', did_you_mean(name, self.rows))
        return self.rows[name]


@DATASETS.register_module()
class InstructedPairs(PairDataset):
    """A `PairDataset` whose text is an instruction: one for all pairs, or the one that `Degrade` puts in its place.

    Args:
        text_source: the arguments of `Instructions`, such as `dict(instructions='data/text/minilm.safetensors',
            instruction='none')`.
        task, data_root, options: as for `PairDataset`.
    """

    def __init__(self, task: str, data_root: str | os.PathLike, text_source: Mapping, **options):
        super().__init__(task, data_root, **options)
        self.text_source = Instructions(**text_source)
        self.text_dim, self.text_length = self.text_source.dim, self.text_source.tokens

    def record(self, index: int) -> dict:
        return super().record(index) | {'instructions': self.text_source}


def encode(encoder: Mapping, sentences: Sequence[str]) -> list[Float[np.ndarray, 'token dim']]:
    """The real rows of each sentence, from a text encoder of `TEXT_ENCODERS`."""
    found = TEXT_ENCODERS.build(dict(encoder)).encode(list(sentences))
    return [rows[mask].numpy() for rows, mask in zip(found.features, found.mask, strict=True)]


def write(path: str | os.PathLike, encoder: Mapping, sentences: Mapping[str, Sequence[str]] = SENTENCES) -> None:
    """Encode the sentences and write the file that `Instructions` reads, whole or not at all."""
    keys = [f'{name}/{index}' for name, said in sentences.items() for index in range(len(said))]
    rows = encode(encoder, [sentence for said in sentences.values() for sentence in said])
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'.{path.name}.{os.getpid()}')
    save_file(dict(zip(keys, map(np.ascontiguousarray, rows), strict=True)), partial,
              metadata=dict(encoder=json.dumps(encoder), sentences=json.dumps(sentences)))
    partial.replace(path)
