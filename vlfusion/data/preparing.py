"""Write data sets of configs to single files: FILM's HDF5, or a packed file that is quick to read."""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from mmengine.config import Config

from vlfusion.config import as_config
from vlfusion.config_names import is_config
from vlfusion.data.dataset import FusionDataset
from vlfusion.data.from_config import dataset_part, find_datasets
from vlfusion.data.hdf5 import Hdf5PairDataset, write_hdf5
from vlfusion.data.packed import write_packed
from vlfusion.data.sampler import Draw
from vlfusion.errors import ConfigError
from vlfusion.guards.outputs import check_outputs
from vlfusion.registry import DATASETS, share_keys

Show = Callable[[Sequence[int]], Iterable[int]]


def write_config_hdf5(config: str | os.PathLike | Config, split: str, out: str | os.PathLike, *,
                      show: Show = iter) -> int:
    """Write a data set of a config with its text, in the layout that FILM trains on.

    The pipeline runs once for each pair, so random crops and flips are fixed in the file.

    Args:
        config: file or name of a config, or a config as `load_config` returns it.
        split: `train`, `val` or `test`.
        out: the file to write, `.h5`.
        show: wrapper of the loop over the pairs' indices, for example to show progress.

    Returns:
        The number of pairs.

    Raises:
        ConfigError: the config does not have the split.
        DataError: images or texts are missing, or the file would replace one of them.
    """
    config = as_config(config)
    part = dataset_part(config, split)
    share_keys(config, part, DATASETS)
    dataset = DATASETS.build(part)
    check_outputs([out], dataset.files())
    write_hdf5(out, (dataset[Draw(index, seed=index)] for index in show(range(len(dataset)))))
    return len(dataset)


def pack(source: str | os.PathLike | Config, out: str | os.PathLike, *, split: str = 'train', task: str | None = None,
         read_text: bool = True, show: Show = iter) -> tuple[FusionDataset, dict, dict]:
    """Write a data set of a config, or an HDF5 file in FILM's layout, to one small file that is quick to read.

    Images are stored as `LoadPair` reads them. The later steps of the pipeline run when the file is read.

    Args:
        source: a config, as a file or name, or as `load_config` returns it; or an HDF5 file.
        out: the file to write, `.safetensors`.
        split: split of the config: `train`, `val` or `test`.
        task: task of an HDF5 file, which does not store it: ivf, mif, mef or mff.
        read_text: False to leave out the text of an HDF5 file.
        show: wrapper of the loop over the pairs' indices, for example to show progress.

    Returns:
        The data set, the stored types of its arrays, and the part of a config that reads the file.

    Raises:
        ConfigError: the config does not have the split, or its pipeline has no LoadPair.
        DataError: images or texts are missing, or the file would replace one of them.
    """
    if isinstance(source, Config) or is_config(source):
        config = as_config(source)
        [(_, dataset)] = find_datasets(config, [split], text=True, whole=True)
        part = dataset_part(config, split)
        types = [step['type'] for step in part.get('pipeline', [])]
        if 'LoadPair' not in types:
            raise ConfigError(f'The pipeline of {split} has no LoadPair, so it is not known what to store.',
                              'Begin the pipeline with LoadPair.')
        kept = dict(name=dataset.name) | {key: part[key] for key in ('text_length',) if key in part}
        kept['pipeline'] = part.pipeline[types.index('LoadPair') + 1:]
    else:
        kept = dict(name=Path(source).stem, pipeline=[dict(type='PackPair')])
        dataset = Hdf5PairDataset(source, task, **kept, read_text=read_text)
    check_outputs([out], dataset.files())
    stored = write_packed(out, (dataset[index] for index in show(range(len(dataset)))), dataset.task.name)
    return dataset, stored, dict(type='PackedPairDataset', path=str(out), **kept)
