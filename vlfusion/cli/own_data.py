"""Two folders of one's own in place of the data sets of a config: `--source-a DIR --source-b DIR`."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmengine.config import Config

#: In training every tenth pair is held out for validation.
HELD_OUT = 10


def add_own_data(parser: argparse.ArgumentParser) -> None:
    """Add the options that name the folders, and what is in them."""
    from vlfusion.cli.options import add_reading
    group = parser.add_argument_group('your own images, in place of the data set of the config')
    group.add_argument('--source-a', metavar='DIR',
                       help="folder or pattern such as 'pairs/{name}_IR.*': infrared, MRI, over-exposed, near-focused")
    group.add_argument('--source-b', metavar='DIR',
                       help='folder or pattern: visible; CT, PET or SPECT; under-exposed; far-focused')
    group.add_argument('--task', help="ivf, mif, mef or mff (default: the config's)")
    group.add_argument('--modality-a', metavar='WORD',
                       help="what source A is, as a captioner is told (default: the task's word)")
    group.add_argument('--modality-b', metavar='WORD', help='what source B is, such as PET or CT')
    add_reading(parser)


def read_config(args: argparse.Namespace) -> 'Config':
    """The config of the command line; its data sets read the own folders if the command line names any, and read files
    by the rules that it gives.

    Raises:
        ConfigError: only one folder is named, or an option belongs to folders that are not named; the config has no
            `language` section that could describe the images, but its model reads text; or what `load_config` raises.
    """
    from vlfusion.cli.options import SPLITS, reading_keys
    from vlfusion.config import load_config
    from vlfusion.errors import ConfigError
    from vlfusion.imaging.tasks import get_task
    config = load_config(args.config, args.cfg_options)
    rules = {key: value for key, value in reading_keys(args).items() if value is not None}
    if args.source_a is None and args.source_b is None:
        for option in ('task', 'modality_a', 'modality_b'):
            if getattr(args, option) is not None:
                raise ConfigError(f'--{option.replace("_", "-")} says what is in your own folders, but there are none.',
                                  'Name them with --source-a and --source-b; for the data set of the config write '
                                  f'--cfg-options {option}=... or change the file.')
        for split in SPLITS:
            if config.get(f'{split}_dataloader'):
                config[f'{split}_dataloader'].dataset.update(rules)
        return config
    if args.source_a is None or args.source_b is None:
        raise ConfigError('Only one of --source-a and --source-b is given.', 'Give both.')
    if args.task:
        config.task = get_task(args.task).name
    text_source = _described(config, args.config)
    name = _common_folder(args.source_a, args.source_b)
    for split in SPLITS:
        loader = config.get(f'{split}_dataloader')
        if not loader:
            continue
        pipeline = list(loader.dataset.get('pipeline', ()))
        if not any(step['type'] == 'LoadPair' for step in pipeline):  # a packed data set has its images loaded
            pipeline = [dict(type='LoadPair'), *pipeline]
        loader.dataset = dict(
            type='PairDataset', name=name, data_root='.', text_source=text_source, pipeline=pipeline,
            source_a=_place(args.source_a), source_b=_place(args.source_b),
            modality_a=args.modality_a, modality_b=args.modality_b, **rules)
    config.work_dir = config.get('work_dir') or f'work_dirs/{Path(args.config).stem}_{name}'  # not among other results
    return config


def hold_out(config: 'Config') -> None:
    """Train on nine of ten pairs of the own folders, and validate on every tenth; fewer than ten are all trained on.

    Raises:
        DataError: as for `vlfusion.data.pairs.find_pairs`.
    """
    from vlfusion.data.pairs import find_pairs
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


def _described(config: 'Config', path: str) -> dict | None:
    """The text source of the config; where it reads published features, the descriptions of the own images instead."""
    from vlfusion.data.text import text_configs
    from vlfusion.errors import ConfigError
    loaders = [config.get(f'{split}_dataloader') for split in ('train', 'val', 'test')]
    sources = [loader.dataset.get('text_source') for loader in loaders if loader] + [config.get('text_source')]
    found = next((text_configs(source) for source in sources if source), {})
    described = {name: dict(stream='pair/paragraph') if 'files' in source else dict(source)
                 for name, source in found.items()}
    if described and not config.get('language'):
        raise ConfigError(f'{path} reads text features that were published with its data set, and has no language '
                          'section, so your images cannot be described.',
                          'Use a config that has one, such as configs/film/film_ivf_sample.py, or add '
                          "'../_base_/language/measured_minilm.py' to its _base_\n     and set "
                          'model.backbone.text_dim=384.')
    return described.get('text', described) or None


def _place(source: str) -> str:
    """The pattern of a folder, from the root; the run's own config then says where the images are."""
    from vlfusion.data.pairs import as_pattern
    return as_pattern(Path(source).expanduser().absolute().as_posix())


def _common_folder(source_a: str, source_b: str) -> str:
    """The name of the last folder that both sources are in."""
    parts = [Path(source).expanduser().absolute() for source in (source_a, source_b)]
    fixed = [next(parent for parent in (path, *path.parents) if not any(sign in str(parent) for sign in '*?[{'))
             for path in parts]
    return Path(os.path.commonpath(fixed)).name or 'own'
