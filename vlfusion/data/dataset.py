"""Data sets of image pairs: they read folders and return flat samples."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import numpy as np
from mmcv.transforms import Compose
from torch.utils.data import Dataset

from vlfusion.data.instructed import Instructions
from vlfusion.data.pairs import Bands, Names, Range, check_images, find_pairs, find_subset_pairs
from vlfusion.data.policies import under_policy
from vlfusion.data.sampler import Draw
from vlfusion.data.text import pad, text_sources
from vlfusion.errors import ConfigError, DataError, did_you_mean
from vlfusion.imaging.tasks import get_task
from vlfusion.language.section import section_of
from vlfusion.registry import DATASETS, TRANSFORMS
from vlfusion.zoo.sets import advice_on


class FusionDataset(Dataset, ABC):
    """Samples of one fusion task.

    A sample is a flat dict that torch's default collate can stack:

    - `source_a` and `source_b`: float32 `(1, h, w)` in [0, 1]; also `truth`, if there is a true image, and each map,
      such as `mask`, under its own name
    - `name`, `path_a` and `path_b`: strings
    - `text`, if there is text: float32 `(token, dim)`, padded with zero rows to one length
    - `text_mask`: bool `(token,)`, true for tokens and false for padding
    - `words`, if the data set gives them: the words of the text, a string

    Several texts have their own names, such as `text_a` and `text_a_mask`.

    Args:
        task: name of the task, such as `ivf`.
        name: name of the data set in results.
        pipeline: configs of transforms, from `LoadPair` to `PackPair` (see `vlfusion.data.transforms`).

    Attributes:
        text_dims: width of each text's features, by the name of the text; empty if samples have no text.
    """

    text_dims: Mapping[str, int] = MappingProxyType({})

    def __init__(self, task: str, name: str, pipeline: Sequence[dict]):
        self.task, self.name = get_task(task), name
        self.pipeline = Compose([TRANSFORMS.build(config) for config in pipeline])

    @property
    def metainfo(self) -> dict:
        """Names of the task and of the data set, which MMEngine passes to metrics and checkpoints."""
        return dict(task=self.task.name, name=self.name)

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of pairs."""

    @abstractmethod
    def record(self, index: int) -> dict:
        """Return the input of the pipeline.

        It has `name`, `path_a`, `path_b`, each text with its mask, and optionally `path_truth`, `maps` (the file of
        each map by its name) and the reading rules `reading_a` and `reading_b`.
        """

    def files(self) -> Iterator[Path]:
        """Yield the files that samples are made from, which no output may replace: those of `pairs`, or `path`."""
        for pair in getattr(self, 'pairs', ()):
            yield from (path for path, _ in pair.images)
        if path := getattr(self, 'path', None):
            yield Path(path)

    def __getitem__(self, index: int | Draw) -> dict:
        """Return a sample. With a `Draw` as index, it depends on the draw alone, not on the process."""
        if isinstance(index, Draw):
            with numpy_seed(index.seed):
                return self.pipeline(self.record(index.index))
        return self.pipeline(self.record(index))


@DATASETS.register_module()
class PairDataset(FusionDataset):
    """Pairs of image files, with text features if the model reads text.

    Problems that would stop a training hours later are found at construction.

    Args:
        task: name of the task, such as `ivf`.
        data_root: folder that all patterns are relative to.
        source_a: folder or pattern of source A's images, such as `ir`; see `vlfusion.data.pairs.find_pairs`.
        source_b: folder or pattern of source B's images.
        names: the pairs to use: a list, or a text file relative to `data_root`; None uses all.
        subsets: instead of the three above, a dict of them for each subset, such as `{'PET-MRI': dict(source_a=...,
            source_b=..., modality_b='PET')}`. Names become `PET-MRI/12`, and results are saved in subfolders.
        modality_a: kind of image of source A, if the task's own word is too general.
        modality_b: kind of image of source B.
        range_a: values of source A that become black and white: `full` (as stored), `minmax`, `percentile:1,99` or two
            numbers; see `vlfusion.imaging.reading.rule.Reading`. A subset may also set this and the next five.
        range_b: the range of source B.
        page_a: page of source A's files, counted from 1, if they have several.
        page_b: page of source B's files.
        bands_a: one band or three bands of source A's files, counted from 1, if they have several.
        bands_b: band or bands of source B's files.
        text_source: None for no text; `dict(files='TextFeature/MFF/Lytro/{name}.npy')` for files under `data_root`;
            `dict(stream='pair/paragraph')` for the text store, optionally with a rule `join` for the paragraphs, see
            `vlfusion.data.joining`; `dict(fixed='...')` for one text for every pair, such as an instruction; or a dict
            of these by keyword for a backbone that reads several texts, see `vlfusion.data.text.text_sources`.
        language: language section of the config, which the text store needs.
        text_length: number of rows to pad text to, or a dict of them by keyword; None uses the longest text of this
            data set.
        truth: folder or pattern of the true images, if they exist; `subsets` have their own.
        maps: folder or pattern of further images by name, such as `dict(mask='masks')`: masks, maps of confidence. They
            are read as grey levels in [0, 1]; backbones and losses that name one get it. `subsets` have their own.
        words: True to give each sample the words of its text too, as `words`; they are empty for `files`, and if there
            are several texts, they are those of all.
        instructions: None, or the arguments of `vlfusion.data.instructed.Instructions` as a dict, such as
            `dict(vocabulary='fusion.v2', count=4)`: each sample gets several instructions and what they ask for, so
            that a network can learn to obey.
        text_policy: the text that each pair gets: `own`, or another policy of `vlfusion.data.policies`, to test the
            effect of words.
        pipeline: configs of transforms, from `LoadPair` to `PackPair`.
        check: True to decode every image at construction (`vlfusion.data.pairs.check_images` states the cost).
        name: name of the data set in results; by default the last folder of `data_root`.

    Attributes:
        pairs: the `Pair`s, sorted by name.

    Raises:
        DataError: data are missing, are damaged or do not fit together; names every problem.
        ConfigError: the arguments do not fit together.
    """

    def __init__(self, task: str, data_root: str | os.PathLike, source_a: str | None = None,
                 source_b: str | None = None, names: Names | None = None, subsets: Mapping[str, Mapping] | None = None,
                 modality_a: str | None = None, modality_b: str | None = None, text_source: Mapping | None = None,
                 language: dict | None = None, text_length: int | Mapping[str, int] | None = None,
                 pipeline: Sequence[dict] = (), check: bool = True, name: str | None = None,
                 truth: str | None = None, maps: Mapping[str, str] | None = None, text_policy: str | Mapping = 'own',
                 words: bool = False, instructions: Mapping | None = None,
                 range_a: Range = None, range_b: Range = None, page_a: int | None = None, page_b: int | None = None,
                 bands_a: Bands = None, bands_b: Bands = None):
        super().__init__(task, name or Path(data_root).absolute().name, pipeline)
        first = source_a or next((subset.get('source_a', '') for subset in (subsets or {}).values()), '')
        _require_folder(Path(data_root), task, first)
        common = dict(modality_a=modality_a or self.task.modality_a, modality_b=modality_b or self.task.modality_b,
                      range_a=range_a, range_b=range_b, page_a=page_a, page_b=page_b, bands_a=bands_a, bands_b=bands_b)
        if (source_a or source_b or names or truth or maps) if subsets else not (source_a and source_b):
            raise ConfigError('A PairDataset needs either source_a and source_b (names is optional), or subsets alone.',
                              "Write source_a='ir', source_b='vi', or subsets={'PET-MRI': dict(source_a=...)}.\n     "
                              'If a _base_ config has the other of the two, inherit nothing: dataset=dict('
                              "_delete_=True, type='PairDataset', ...),\n     see docs/howto/data.md. Or name two "
                              'folders on the command line: --source-a DIR --source-b DIR.')
        if subsets:
            self.pairs = find_subset_pairs(data_root, {key: common | dict(subset) for key, subset in subsets.items()})
        else:
            self.pairs = find_pairs(data_root, source_a, source_b, names, **common, truth=truth, maps=maps)
        if check:
            check_images(self.pairs, task=self.task)
        self.text_sources = {key: under_policy(source, text_policy, language and section_of(key, language))
                             for key, source in text_sources(text_source, language, data_root).items()}
        if isinstance(text_length, Mapping) and (unknown := text_length.keys() - self.text_sources.keys()):
            raise ConfigError(f'text_length names {min(unknown)!r}, but the data set reads no such text.',
                              did_you_mean(min(unknown), self.text_sources))
        if both := sorted(self.text_sources.keys() & dict(self.pairs[0].maps).keys()):
            raise ConfigError(f'{both[0]!r} is both a text and a map of the data set.', 'Rename one of them.')
        self.text_dims, self.text_lengths = {}, {}
        for key, source in self.text_sources.items():
            source.check(self.pairs)
            self.text_dims[key] = source.dim
            length = text_length.get(key) if isinstance(text_length, Mapping) else text_length
            self.text_lengths[key] = padded_length(length, source.length(self.pairs))
        self.instructions = Instructions(language or {}, **instructions) if instructions is not None else None
        if self.instructions:
            taken = {self.instructions.stream, 'ask', 'region'} & {*self.text_sources, *dict(self.pairs[0].maps)}
            if taken:
                raise ConfigError(f'{min(taken)!r} is a text or a map of the data set, and also comes from its '
                                  'instructions.', 'Rename or remove one of them.')
            self.instructions.check(self.pairs)
            self.text_dims[self.instructions.stream] = self.instructions.dim
        if words and not self.text_sources:
            raise ConfigError('The data set has words=True, but no text.', 'Set its text_source, or leave words out.')
        self.words = {pair.name: '\n'.join(text for source in self.text_sources.values()
                                           for text in source.words(pair).values())
                      for pair in self.pairs} if words else {}

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int | Draw) -> dict:
        sample = super().__getitem__(index)
        if self.instructions is None:
            return sample
        number, seed = index if isinstance(index, Draw) else (index, index)
        return sample | self.instructions.draw(self.pairs[number], sample['source_a'], sample['source_b'], seed)

    def record(self, index: int) -> dict:
        pair = self.pairs[index]
        record = dict(name=pair.name, path_a=str(pair.path_a), path_b=str(pair.path_b), reading_a=pair.reading_a,
                      reading_b=pair.reading_b)
        if pair.path_truth:
            record['path_truth'] = str(pair.path_truth)
        if pair.maps:
            record['maps'] = {name: str(path) for name, path in pair.maps}
        for key, source in self.text_sources.items():
            record[key], record[f'{key}_mask'] = pad(source.load(pair), self.text_lengths[key])
        if self.words:
            record['words'] = self.words[pair.name]
        return record


@contextmanager
def numpy_seed(seed: int) -> Iterator[None]:
    """Seed NumPy's global generator, which mmcv's transforms use, and restore its state afterwards."""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)


def padded_length(wanted: int | None, longest: int) -> int:
    """Return the number of rows that text is padded to; raise ConfigError if the longest text does not fit."""
    if wanted is not None and wanted < longest:
        raise ConfigError(f'text_length is {wanted}, but the longest text of the data set has {longest} tokens.',
                          f'Set text_length to {longest} or more; tokens are never dropped.')
    return wanted or longest


def require_own_text(policy: str | Mapping, path: Path) -> None:
    """Raise ConfigError for any policy but `own`: the file at `path` holds only each pair's own text."""
    if policy != 'own':
        raise ConfigError(f'text_policy={policy!r} has no effect on {path}, which holds the text of each pair.',
                          'Read the pairs from folders with a PairDataset, or write the file again with that policy.')


def _require_folder(root: Path, task: str, source_a: str) -> None:
    if root.is_dir():
        return
    known = advice_on(root / source_a) or advice_on(root)
    own = f'{known}\n     Or set' if known else 'Prepare the data (lay them out as docs/howto/data.md says), and set'
    raise DataError(f'There is no folder {root.absolute()} to read {task} images from.',
                    f'{own} data_root to the folder of your images,\n     or run `vlfusion prepare-data sample` and '
                    f'use the config film/film_{task}_sample.')
