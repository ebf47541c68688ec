"""Your own folders instead of the data sets of a config: `--source-a DIR --source-b DIR`."""

import argparse
import sys
from typing import TYPE_CHECKING

from vlfusion.errors import ConfigError

if TYPE_CHECKING:
    from mmengine.config import Config

#: Config for pairs of a task that belong to no data set.
DEFAULT = 'film/film_{task}_short'


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


def read_config(args: argparse.Namespace, *, trained: bool = False) -> 'Config':
    """Read the config, and apply the words, folders and reading rules of the command line to it.

    Args:
        args: the arguments of the verb. Without a config, folders and a task choose one of `DEFAULT`.
        trained: True if the model of the config has been trained, see `vlfusion.data.words.use_words`.

    Raises:
        ConfigError: there is neither a config nor a task with folders, only one folder is given, or an option needs
            folders that are not given; also as for `load_config`, `use_words` and `use_folders`.
    """
    from vlfusion.cli.options import reading_keys
    from vlfusion.config import SPLITS, load_config
    options, words = args.cfg_options or {}, getattr(args, 'words', None)
    of_words = {key: value for key, value in options.items() if words and key.partition('.')[0] == 'language'}
    if args.config is None:
        args.config = _default(args)
    config = load_config(args.config, {key: options[key] for key in options if key not in of_words})
    if words:
        from vlfusion.data.words import use_words
        print(use_words(config, words, trained=trained, options=of_words), file=sys.stderr)
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


def _default(args: argparse.Namespace) -> str:
    """Return the name of the config for the given folders, and tell the user."""
    from vlfusion.imaging.tasks import get_task
    if not (args.source_a and args.source_b and args.task):
        raise ConfigError('No config is given, and no two folders with a task.',
                          'Give a config, or --source-a DIR --source-b DIR and --task ivf, mif, mef or mff.')
    name = DEFAULT.format(task=get_task(args.task).name)
    print(f'No config is given, so {name} is used, with your folders instead of its data.', file=sys.stderr)
    return name
