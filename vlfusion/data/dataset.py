"""Image pairs as a data set: folders in, flat samples out."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import numpy as np
from mmcv.transforms import Compose
from torch.utils.data import Dataset

from vlfusion.data.pairs import Bands, Names, Range, check_images, find_pairs, find_subset_pairs
from vlfusion.data.policies import under_policy
from vlfusion.data.sampler import Draw
from vlfusion.data.text import pad, text_sources
from vlfusion.errors import ConfigError, DataError, did_you_mean
from vlfusion.imaging.tasks import get_task
from vlfusion.registry import DATASETS, TRANSFORMS


class FusionDataset(Dataset, ABC):
    """Samples of one fusion task.

    A sample is a flat dict that the default collate stacks: `source_a` and `source_b`, float32 `(1, h, w)` in [0, 1];
    `name`, `path_a` and `path_b`; where there is a true image `truth`, like the sources; where there is text also
    `text`, float32 `(token, dim)` padded with zero rows to one length, and `text_mask`, bool `(token,)`, true where a
    row is a token. Several texts have names of their own, such as `text_a` and `text_a_mask`.

    Args:
        task: the name of the task, such as `ivf`.
        name: what the data set is called in results.
        pipeline: configs of transforms, from `LoadPair` to `PackPair` (see `vlfusion.data.transforms`).

    Attributes:
        text_dims: the width of each text's features by its name; empty where samples carry no text.
    """

    text_dims: Mapping[str, int] = MappingProxyType({})

    def __init__(self, task: str, name: str, pipeline: Sequence[dict]):
        self.task, self.name = get_task(task), name
        self.pipeline = Compose([TRANSFORMS.build(config) for config in pipeline])

    @property
    def metainfo(self) -> dict:
        """Facts that MMEngine tells metrics and checkpoints: names of the task and of the data set."""
        return dict(task=self.task.name, name=self.name)

    @abstractmethod
    def __len__(self) -> int:
        """The number of pairs."""

    @abstractmethod
    def record(self, index: int) -> dict:
        """Start of the pipeline: `name`, `path_a`, `path_b`; perhaps `path_truth` and the rules of reading,
        `reading_a` and `reading_b`; each text and its mask."""

    def files(self) -> Iterator[Path]:
        """The files that samples are made from, which nothing may replace: those of `pairs`, or that at `path`."""
        for pair in getattr(self, 'pairs', ()):
            yield from filter(None, (pair.path_a, pair.path_b, pair.path_truth))
        if path := getattr(self, 'path', None):
            yield Path(path)

    def __getitem__(self, index: int | Draw) -> dict:
        """A sample; one asked for by a `Draw` depends on the draw alone, whichever process makes it."""
        if isinstance(index, Draw):
            with numpy_seed(index.seed):
                return self.pipeline(self.record(index.index))
        return self.pipeline(self.record(index))


@DATASETS.register_module()
class PairDataset(FusionDataset):
    """Pairs of image files, with text features if the model reads text.

    Everything that could stop a training hours later is checked at construction.

    Args:
        task: the name of the task, such as `ivf`.
        data_root: the folder that all patterns are relative to.
        source_a: where source A's images lie, as `vlfusion.data.pairs.find_pairs` has it, such as `ir`.
        source_b: where source B's lie.
        names: the pairs to use: a list, or a text file relative to `data_root`; None takes all.
        subsets: in place of the three above, a dict of them for each subset, such as `{'PET-MRI': dict(source_a=...,
            source_b=..., modality_b='PET')}`. A name becomes `PET-MRI/12`, and results are saved in subfolders.
        modality_a: what source A is, if the task's own word is too wide.
        modality_b: what source B is.
        range_a: the values of source A that are black and white: `full` (as stored), `minmax`, `percentile:1,99` or two
            numbers; see `vlfusion.imaging.reading.rule.Reading`. This and the next five may also stand in a subset.
        range_b: likewise, of source B.
        page_a: the page of files with several, from 1, of source A.
        page_b: likewise, of source B.
        bands_a: the band or the three bands of files with several, from 1, of source A.
        bands_b: likewise, of source B.
        text_source: None for no text; `dict(files='TextFeature/MFF/Lytro/{name}.npy')` for files under `data_root`;
            `dict(stream='pair/paragraph')` for the text store, where `join` may name a rule that joins the paragraphs,
            see `vlfusion.data.joining`; `dict(fixed='...')` for one text for every pair, such as an instruction;
            a dict of these by keyword for a backbone that reads several texts, see `vlfusion.data.text.text_sources`.
        language: the config's language section; the text store needs it.
        text_length: the number of rows to pad text to, or a dict of them by keyword; None takes the longest of this
            data set.
        truth: where the images lie that a perfect fusion would give, if there are such; not for `subsets`, which say it
            themselves.
        text_policy: whose text a pair is given: `own`, or one of `vlfusion.data.policies`, to see whether it mattered.
        pipeline: configs of transforms, from `LoadPair` to `PackPair`.
        check: whether to decode every image at construction (`vlfusion.data.pairs.check_images` states the cost).
        name: what the data set is called in results; by default the last folder of `data_root`.

    Attributes:
        pairs: the `Pair`s, sorted by name.

    Raises:
        DataError: data are missing, damaged or do not fit together; every offender is named.
        ConfigError: the arguments do not fit together.
    """

    def __init__(self, task: str, data_root: str | os.PathLike, source_a: str | None = None,
                 source_b: str | None = None, names: Names | None = None, subsets: Mapping[str, Mapping] | None = None,
                 modality_a: str | None = None, modality_b: str | None = None, text_source: Mapping | None = None,
                 language: dict | None = None, text_length: int | Mapping[str, int] | None = None,
                 pipeline: Sequence[dict] = (), check: bool = True, name: str | None = None,
                 truth: str | None = None, text_policy: str | Mapping = 'own',
                 range_a: Range = None, range_b: Range = None, page_a: int | None = None, page_b: int | None = None,
                 bands_a: Bands = None, bands_b: Bands = None):
        super().__init__(task, name or Path(data_root).absolute().name, pipeline)
        _require_folder(Path(data_root), task)
        common = dict(modality_a=modality_a or self.task.modality_a, modality_b=modality_b or self.task.modality_b,
                      range_a=range_a, range_b=range_b, page_a=page_a, page_b=page_b, bands_a=bands_a, bands_b=bands_b)
        if (source_a or source_b or names or truth) if subsets else not (source_a and source_b):
            raise ConfigError('A PairDataset needs either source_a, source_b and perhaps names, or subsets alone.',
                              "Write source_a='ir', source_b='vi', or subsets={'PET-MRI': dict(source_a=...)}.\n     "
                              'Where a _base_ config has the other of the two, inherit nothing: dataset=dict('
                              "_delete_=True, type='PairDataset', ...),\n     see docs/howto/data.md. Or name two "
                              'folders on the command line: --source-a DIR --source-b DIR.')
        if subsets:
            self.pairs = find_subset_pairs(data_root, {key: common | dict(one) for key, one in subsets.items()})
        else:
            self.pairs = find_pairs(data_root, source_a, source_b, names, **common, truth=truth)
        if check:
            check_images(self.pairs, task=self.task)
        self.text_sources = {key: under_policy(source, text_policy, language)
                             for key, source in text_sources(text_source, language, data_root).items()}
        if isinstance(text_length, Mapping) and (unknown := text_length.keys() - self.text_sources.keys()):
            raise ConfigError(f'text_length names {min(unknown)!r}, but the data set reads no such text.',
                              did_you_mean(min(unknown), self.text_sources))
        self.text_dims, self.text_lengths = {}, {}
        for key, source in self.text_sources.items():
            source.check(self.pairs)
            self.text_dims[key] = source.dim
            wanted = text_length.get(key) if isinstance(text_length, Mapping) else text_length
            self.text_lengths[key] = padded_length(wanted, source.length(self.pairs))

    def __len__(self) -> int:
        return len(self.pairs)

    def record(self, index: int) -> dict:
        pair = self.pairs[index]
        record = dict(name=pair.name, path_a=str(pair.path_a), path_b=str(pair.path_b), reading_a=pair.reading_a,
                      reading_b=pair.reading_b)
        if pair.path_truth:
            record['path_truth'] = str(pair.path_truth)
        for key, source in self.text_sources.items():
            record[key], record[f'{key}_mask'] = pad(source.load(pair), self.text_lengths[key])
        return record


@contextmanager
def numpy_seed(seed: int) -> Iterator[None]:
    """Seed NumPy's global generator, which mmcv's transforms draw from, and put its state back afterwards."""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)


def padded_length(wanted: int | None, longest: int) -> int:
    """The rows that text is padded to; raises ConfigError where the longest text does not fit."""
    if wanted is not None and wanted < longest:
        raise ConfigError(f'text_length is {wanted}, but the longest text of the data set has {longest} tokens.',
                          f'Set text_length to {longest} or more; no token is cut off.')
    return wanted or longest


def require_own_text(policy: str | Mapping, path: Path) -> None:
    """Raises ConfigError where a file that holds the text of each pair is asked for another's."""
    if policy != 'own':
        raise ConfigError(f'text_policy={policy!r} has no effect on {path}, which holds the text of each pair.',
                          'Read the pairs from folders by a PairDataset, or write the file again under that policy.')


def _require_folder(root: Path, task: str) -> None:
    if not root.is_dir():
        raise DataError(f'There is no folder {root.absolute()} to read {task} images from.',
                        'Prepare the data (lay them out as docs/howto/data.md says) and set data_root to their '
                        'folder,\n     or run `vlfusion prepare-data sample` and use '
                        f'the config film/film_{task}_sample.')
