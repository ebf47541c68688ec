"""Your own folders instead of the data sets of a config: `--source-a DIR --source-b DIR`."""

import argparse
from typing import TYPE_CHECKING

from vlfusion.errors import ConfigError

if TYPE_CHECKING:
    from mmengine.config import Config

def add_own_data(parser: argparse.ArgumentParser) -> None:
    """Add the options for the folders and their content."""
    from vlfusion.cli.options import add_reading
    group = parser.add_argument_group('your own images, instead of the data set of the config')
    group.add_argument('--source-a', metavar='DIR',
                       help="folder or pattern such as 'pairs/{name}_IR.*': infrared, MRI, over-exposed, near-focused")
    group.add_argument('--source-b', metavar='DIR',
                       help='folder or pattern: visible; CT, PET or SPECT; under-exposed; far-focused')
    group.add_argument('--task', help="ivf, mif, mef or mff (default: the config's)")
    group.add_argument('--modality-a', metavar='WORD',
                       help="modality of source A for the captioner (default: the task's word)")
    group.add_argument('--modality-b', metavar='WORD', help='modality of source B, such as PET or CT')
    add_reading(parser)


def read_config(args: argparse.Namespace) -> 'Config':
    """Read the config, and apply the folders and reading rules of the command line to its data sets.

    Raises:
        ConfigError: only one folder is given, or an option needs folders that are not given; also as for `load_config`
            and `use_folders`.
    """
    from vlfusion.cli.options import reading_keys
    from vlfusion.config import SPLITS, load_config
    config = load_config(args.config, args.cfg_options)
    rules = {key: value for key, value in reading_keys(args).items() if value is not None}
    if args.source_a is None and args.source_b is None:
        for option in ('task', 'modality_a', 'modality_b'):
            if getattr(args, option) is not None:
                raise ConfigError(f'--{option.replace("_", "-")} is for your own folders, but there are none.',
                                  'Give them with --source-a and --source-b. For the data set of the config, write '
                                  f'--cfg-options {option}=... or change the file.')
        for split in SPLITS:
            if config.get(f'{split}_dataloader'):
                config[f'{split}_dataloader'].dataset.update(rules)
        return config
    if args.source_a is None or args.source_b is None:
        raise ConfigError('Only one of --source-a and --source-b is given.', 'Give both.')
    from vlfusion.data.own_folders import use_folders
    return use_folders(config, args.source_a, args.source_b, task=args.task, modality_a=args.modality_a,
                       modality_b=args.modality_b, reading=rules)
