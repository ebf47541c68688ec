"""Your own folders instead of the data sets of a config: `--source-a DIR --source-b DIR`."""

import argparse
import os
import sys
from collections.abc import Sequence
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


def read_config(args: argparse.Namespace, *, trained: bool = False, tunes: bool = False) -> 'Config':
    """Read the config, and apply the words, folders, reading rules and texts of the command line to it.

    In its place, a model may be given: a name, a checkpoint or an address. Then its experiment is the config, and it
    becomes `args.checkpoint` too if no other was given.

    Args:
        args: the arguments of the verb. Without a config, folders and a task choose one of `DEFAULT`.
        trained: True if the model of the config has been trained, see `vlfusion.data.words.use_words`.
        tunes: True if a model that was given is trained further.

    Raises:
        ConfigError: there is neither a config nor a task with folders, only one folder is given, or an option needs
            folders that are not given; also as for `load_config`, `use_words`, `use_folders` and `use_texts`.
        VLFusionError: a model was given, and is not there; also as for `vlfusion.engine.model_configs.config_of`.
    """
    from vlfusion.config import load_config
    from vlfusion.zoo.names import is_model
    options, words = args.cfg_options or {}, getattr(args, 'words', None)
    of_words = {key: value for key, value in options.items() if words and key.partition('.')[0] == 'language'}
    if args.config is None:
        args.config = _default(args)
    others = {key: options[key] for key in options if key not in of_words}
    of_model = is_model(args.config)
    config = _config_of_model(args, others, tunes) if of_model else load_config(args.config, others)
    if words:
        from vlfusion.data.words import use_words
        print(use_words(config, words, trained=trained or of_model, options=of_words), file=sys.stderr)
    _use_own_data(args, config)
    if texts := getattr(args, 'texts', None):
        from vlfusion.data.own_texts import use_texts
        use_texts(config, texts)
    return config


def describe_for_model(args: argparse.Namespace, config: 'Config', splits: Sequence[str] | None = None) -> None:
    """Describe the images that the config reads, if a model was given in its place; encode the texts of `--texts`.

    Args:
        args: the arguments of the verb.
        config: the config that `read_config` returned.
        splits: some of `train`, `val` and `test`; None for all splits of the config.

    Raises:
        VLFusionError: as for `vlfusion.describe`, or an image cannot be described.
    """
    from vlfusion.data.from_config import text_entries
    from vlfusion.zoo.names import is_model
    if not (is_model(args.config) or args.texts) or not text_entries(config):
        return
    from vlfusion.console.progress import ShowProgress
    from vlfusion.data.describing import describe
    from vlfusion.system.launchers import take_variables
    take_variables(getattr(args, 'launcher', 'none'))  # LOCAL_RANK tells the GPU of each process
    with ShowProgress(quiet=os.environ.get('LOCAL_RANK', '0') != '0') as show:
        done = describe(config, splits=splits, progress=show)
    if done.report:
        done.report.raise_if_failed()


def _use_own_data(args: argparse.Namespace, config: 'Config') -> None:
    """Apply the folders and reading rules of the command line to a config."""
    from vlfusion.cli.options import reading_keys
    from vlfusion.config import SPLITS
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
        return
    if args.source_a is None or args.source_b is None:
        raise ConfigError('Only one of --source-a and --source-b is given.', 'Give both.')
    from vlfusion.data.own_folders import use_folders
    use_folders(config, args.source_a, args.source_b, task=args.task, modality_a=args.modality_a,
                modality_b=args.modality_b, reading=rules)


def _config_of_model(args: argparse.Namespace, options: dict, tunes: bool) -> 'Config':
    """Return the config of the model that was given instead of a config."""
    from vlfusion.zoo.names import require_model
    require_model(args.config)
    if not tunes and args.source_a is None and args.source_b is None:
        raise ConfigError(f'{args.config} is a model, which has no data.',
                          'Give two folders with --source-a DIR --source-b DIR, or a config before the model.')
    from vlfusion.engine.model_configs import config_of, tuning_config
    own_words = not getattr(args, 'words', None)
    if not tunes:
        if getattr(args, 'checkpoint', None) is None:
            args.checkpoint = args.config
        return config_of(args.config, options, own_words=own_words, trust=getattr(args, 'trust_checkpoint', False))
    config = tuning_config(args.config, options, own_words=own_words)
    print(f'Fine-tuning {args.config}: {config.train_cfg.max_iters} steps at a learning rate of '
          f'{config.optim_wrapper.optimizer.lr:.2g}. To change them, use --cfg-options train_cfg.max_iters=N and '
          'optim_wrapper.optimizer.lr=X.', file=sys.stderr)
    return config


def _default(args: argparse.Namespace) -> str:
    """Return the name of the config for the given folders, and tell the user."""
    from vlfusion.imaging.tasks import get_task
    if not (args.source_a and args.source_b and args.task):
        raise ConfigError('No config is given, and no two folders with a task.',
                          'Give a config, or --source-a DIR --source-b DIR and --task ivf, mif, mef or mff.')
    name = DEFAULT.format(task=get_task(args.task).name)
    print(f'No config is given, so {name} is used, with your folders instead of its data.', file=sys.stderr)
    return name
