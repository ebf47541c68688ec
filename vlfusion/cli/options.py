"""Arguments that several verbs share."""

import argparse

from vlfusion.errors import ConfigError


def add_config(parser: argparse.ArgumentParser) -> None:
    """The config and its overrides."""
    from vlfusion.cli.key_values import KeyValues
    parser.add_argument('config', help='config file, or the name of one that ships, such as film/film_mif')
    parser.add_argument('--cfg-options', nargs='+', action=KeyValues, metavar='KEY=VALUE',
                        help='override the config, such as train_cfg.max_iters=100 data_root=data/mine')


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Tell whether a checkpoint may ask for what lies outside of it."""
    parser.add_argument('--trust-checkpoint', action='store_true',
                        help='take the checkpoint at its word: let it choose files, servers and models from a hub '
                             '(default: what reaches outside is refused and shown)')


def add_verbose(parser: argparse.ArgumentParser) -> None:
    """The whole log on the screen."""
    parser.add_argument('-v', '--verbose', action='store_true',
                        help='show the environment, the whole config and every line of the log; the log file has them '
                             'anyway')


def add_imports(parser: argparse.ArgumentParser, what: str) -> None:
    """Modules to import before the work, for what they register."""
    parser.add_argument('--import', dest='modules', nargs='+', default=[], metavar='MODULE',
                        help=f'modules in the current folder, or installed, that register {what}')


def import_modules(names: list[str]) -> None:
    """Import what `--import` names; raises ConfigError where that fails."""
    if not names:
        return
    from importlib import import_module

    from vlfusion.config import search_current_folder
    from vlfusion.guards.foreign import foreign
    search_current_folder()
    for name in names:
        with foreign(f'--import {name} fails', ConfigError, 'Give a module of the current folder or an installed one.'):
            import_module(name)


def add_reading(parser: argparse.ArgumentParser) -> None:
    """The rules by which the files of both sources are read."""
    for side in 'ab':
        parser.add_argument(f'--range-{side}', metavar='RANGE',
                            help=f'which values of source {side.upper()} are black and white: full (default), minmax, '
                                 f'percentile:1,99, or two numbers as --range-{side}=-20,50')
        parser.add_argument(f'--page-{side}', type=int, metavar='N',
                            help=f'which page or frame of the files of source {side.upper()} is read, from 1')
        parser.add_argument(f'--bands-{side}', metavar='N[,N,N]',
                            help=f'which band of source {side.upper()}, or which three for red, green and blue, from 1')


def reading_keys(args: argparse.Namespace) -> dict[str, str | int | None]:
    """Values of the options of `add_reading`, by the keys of a data set."""
    return {f'{key}_{side}': getattr(args, f'{key}_{side}') for key in ('range', 'page', 'bands') for side in 'ab'}


def add_launcher(parser: argparse.ArgumentParser) -> None:
    """Add the option that says how several processes were started."""
    parser.add_argument('--launcher', choices=('none', 'pytorch', 'slurm', 'mpi'), default='none',
                        help='how the processes were started; torchrun is "pytorch"')
    parser.add_argument('--local-rank', type=int, default=0, help=argparse.SUPPRESS)
