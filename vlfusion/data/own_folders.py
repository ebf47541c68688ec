"""Replace the data sets of a config by two folders of the user's own images."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from vlfusion.config import SPLITS
from vlfusion.data.from_config import text_readers
from vlfusion.data.pairs import as_pattern, find_pairs
from vlfusion.data.text import described
from vlfusion.errors import ConfigError
from vlfusion.imaging.tasks import get_task

#: In training, one of this many pairs is held out for validation.
HELD_OUT = 10


def use_folders(config: Config, source_a: str, source_b: str, *, task: str | None = None,
                modality_a: str | None = None, modality_b: str | None = None,
                reading: Mapping[str, Any] | None = None) -> Config:
    """Make every data set of a config read two folders of your own. The pipelines stay.

        config = vlfusion.use_folders(vlfusion.load_config('film/film_ivf_sample'), 'my/ir', 'my/vi')
        vlfusion.describe(config)

    Args:
        config: a config as `load_config` returns it; it is changed in place.
        source_a, source_b: folders, or patterns such as `pairs/{name}_IR.*`.
        task: task of the images: ivf, mif, mef or mff; by default that of the config.
        modality_a, modality_b: modalities of the sources, as captioners are told; by default those of the task.
        reading: reading rules for the files, such as `range_a` and `page_b`.

    Returns:
        The config.

    Raises:
        ConfigError: the model reads text, but the config has no `language` section to describe the images.
    """
    if task:
        config.task = get_task(task).name
    text_source = _described(config)
    name = _common_folder(source_a, source_b)
    for split in SPLITS:
        loader = config.get(f'{split}_dataloader')
        if not loader:
            continue
        pipeline = list(loader.dataset.get('pipeline', ()))
        if not any(step['type'] == 'LoadPair' for step in pipeline):  # a packed data set needs no such step
            pipeline = [dict(type='LoadPair'), *pipeline]
        loader.dataset = dict(
            type='PairDataset', name=name, data_root='.', text_source=text_source, pipeline=pipeline,
            source_a=_place(source_a), source_b=_place(source_b), modality_a=modality_a, modality_b=modality_b,
            **(reading or {}))
    stem = Path(config.filename or 'unnamed').stem
    config.work_dir = config.get('work_dir') or f'work_dirs/{stem}_{name}'  # apart from results on other data
    return config


def hold_out(config: Config) -> None:
    """Validate on every tenth pair of the folders and train on the others; with fewer than ten, train on all.

    Raises:
        DataError: as for `vlfusion.data.pairs.find_pairs`.
    """
    if not config.get('train_dataloader') or not config.get('val_dataloader'):
        return
    data = config.train_dataloader.dataset
    names = [pair.name for pair in find_pairs(data.data_root, data.source_a, data.source_b,
                                              range_a=data.get('range_a'), range_b=data.get('range_b'))]
    if held_out := names[HELD_OUT - 1::HELD_OUT]:
        data.names = sorted({*names} - {*held_out})
        config.val_dataloader.dataset.names = held_out
    else:
        config.val_dataloader = config.val_evaluator = config.val_cfg = None


def _described(config: Config) -> dict | None:
    """Return the text source of the config, with descriptions of the images instead of published features."""
    own, *parts = text_readers(config)
    sources = [part.get('text_source') for part in [*parts, own]]
    source = next((described(source) for source in sources if source), {})
    if source and not config.get('language'):
        raise ConfigError(f'{config.filename} reads text features that were published with its data set, and has no '
                          'language section, so your images cannot be described.',
                          'Add --words measured, or another recipe of `vlfusion words`; or use a config that has a '
                          'language section, such as film/film_ivf_sample.')
    return source or None


def _place(source: str) -> str:
    """Return an absolute pattern for a folder, so that the dumped config of the run shows where the images are."""
    return as_pattern(Path(source).expanduser().absolute().as_posix())


def _common_folder(source_a: str, source_b: str) -> str:
    """Return the name of the deepest folder that contains both sources."""
    parts = [Path(source).expanduser().absolute() for source in (source_a, source_b)]
    fixed = [next(parent for parent in (path, *path.parents) if not any(star in str(parent) for star in '*?[{'))
             for path in parts]
    return Path(os.path.commonpath(fixed)).name or 'own'
