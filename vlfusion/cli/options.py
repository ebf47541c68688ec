"""Options that several verbs share."""

import argparse
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vlfusion.errors import ConfigError

if TYPE_CHECKING:
    from vlfusion.system.ray_cluster import Cluster


def add_config(parser: argparse.ArgumentParser, otherwise: str = '', model: bool = False) -> None:
    """Add the config and its overrides.

    Args:
        parser: the parser of the verb.
        otherwise: description of what happens without a config; empty if there must be one.
        model: True if a model may stand in its place.
    """
    from vlfusion.cli.key_values import KeyValues
    parser.add_argument('config', nargs='?' if otherwise else None,
                        help='config file, or the name of one that ships, such as film/film_mif'
                             + ('; or a model, with folders of your own' if model else '')
                             + (f'; {otherwise}' if otherwise else ''))
    parser.add_argument('--cfg-options', nargs='+', action=KeyValues, metavar='KEY=VALUE',
                        help='override the config, such as train_cfg.max_iters=100 data_root=data/mine')


def add_words(parser: argparse.ArgumentParser, keeps: bool = False) -> None:
    """Add the option that chooses words by a name; `keeps` if the model's own text encoder stays."""
    whose = 'captioners, LLM and prompt' if keeps else 'captioners, LLM, prompt and text encoder'
    parser.add_argument('--words', metavar='NAME',
                        help=f'{whose} of a recipe (`vlfusion words` lists them) or of the language section of a config'
                             + (": the model's own text encoder stays" if keeps else ''))


def add_describe(parser: argparse.ArgumentParser) -> None:
    """Add the option that prints words, and says at which pictures of a volume or a video new ones are made."""
    parser.add_argument('--describe', nargs='?', const=True, default=False, type=words_at, metavar='every=N|scene',
                        help='print the words that the model read about each pair, and the instruction; every=8 '
                             'describes every 8th slice of a volume instead of each, or every 8th frame of a video; '
                             'scene, the default of videos, describes a frame where the scene changes')


def words_at(value: str) -> int | str:
    """Read the value of `--describe`: `every=N` gives the number, `scene` itself."""
    if match := re.fullmatch(r'every=([1-9]\d*)', value):
        return int(match[1])
    if value == 'scene':
        return value
    raise argparse.ArgumentTypeError(f'expected nothing, every=N or scene, but got {value!r}; put --describe after the '
                                     'sources')


def add_texts(parser: argparse.ArgumentParser) -> None:
    """Add the option for texts in files."""
    parser.add_argument('--texts', nargs='+', metavar='DIR',
                        help='texts of the pairs, instead of describing their images: a folder of NAME.txt, or a '
                             "pattern such as 'words/{name}_en.txt'; several are joined in this order")


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Add the option that trusts a checkpoint."""
    parser.add_argument('--trust-checkpoint', action='store_true',
                        help='let the checkpoint choose files, servers and models from a hub (default: such settings '
                             'are refused and shown)')


def add_imports(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the option that imports modules before the work, so that they register `what`."""
    parser.add_argument('--import', dest='modules', nargs='+', default=[], metavar='MODULE',
                        help=f'modules that register {what}; in the current folder or installed')


def import_modules(names: list[str]) -> None:
    """Import the modules of `--import`; raises a ConfigError if that fails."""
    if not names:
        return
    from importlib import import_module

    from vlfusion.config import search_current_folder
    from vlfusion.guards.foreign import foreign
    search_current_folder()
    for name in names:
        with foreign(f'--import {name} fails', ConfigError, 'Give a module of the current folder or an installed one.'):
            import_module(name)


def add_maps(parser: argparse.ArgumentParser, use: str) -> None:
    """Add the option for maps, further images of the pairs; `use` says who reads them."""
    parser.add_argument('--map', dest='maps', action=_Maps, default={}, metavar='NAME=DIR',
                        help=f'folder or pattern of further images of the pairs, such as mask=masks/, for {use}; may '
                             'be given several times')


class _Maps(argparse.Action):
    """Collect `NAME=DIR` in a dict."""

    def __call__(self, parser, namespace, values, option_string=None):
        name, equals, place = values.partition('=')
        if not (name and equals and place):
            parser.error(f'argument {option_string}: expected NAME=DIR, but got {values!r}')
        maps = getattr(namespace, self.dest)
        if name in maps:
            parser.error(f'argument {option_string}: {name} is given twice, as {maps[name]} and as {place}')
        setattr(namespace, self.dest, {**maps, name: place})


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Add the rules by which the files of both sources are read."""
    for side in 'ab':
        parser.add_argument(f'--range-{side}', metavar='RANGE',
                            help=f'values of source {side.upper()} that are black and white: full (default), minmax, '
                                 f'percentile:1,99, or two numbers as --range-{side}=-20,50')
        parser.add_argument(f'--page-{side}', type=int, metavar='N',
                            help=f'page or frame of the files of source {side.upper()}, from 1')
        parser.add_argument(f'--bands-{side}', metavar='N[,N,N]',
                            help=f'band of source {side.upper()}, or three for red, green and blue, from 1')


def reading_keys(args: argparse.Namespace) -> dict[str, str | int | None]:
    """Values of the options of `add_reading`, by the keys of a data set."""
    return {f'{key}_{side}': getattr(args, f'{key}_{side}') for key in ('range', 'page', 'bands') for side in 'ab'}


def add_fit(parser: argparse.ArgumentParser, register: str) -> None:
    """Add the rule for pairs of different size, and the movement of source B; `register` says what it does."""
    from vlfusion.imaging.fit import FITS
    from vlfusion.imaging.registration.alignment import MOTIONS
    parser.add_argument('--fit', choices=FITS, help='pairs of different size: refuse them (default), resize the image '
                                                    'with fewer pixels, or crop both about their centres')
    parser.add_argument('--register', choices=MOTIONS, help=f'{register} (docs/howto/registration.md)')


def refuse_given(args: argparse.Namespace, names: Iterable[str], where: str, remedy: str = 'Leave it out.') -> None:
    """Raise ConfigError if one of these options is given, because it has no effect there.

    Args:
        args: the parsed arguments.
        names: the options by their names in the namespace.
        where: words that follow `no effect`, such as `on stacks`.
        remedy: advice to the user.
    """
    for name in names:
        if getattr(args, name):
            option = '--map' if name == 'maps' else f'--{name.replace("_", "-")}'
            raise ConfigError(f'{option} has no effect {where}.', remedy)


def add_ray(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the option that shares the work on a Ray cluster; `what` says which work."""
    parser.add_argument('--ray', nargs='?', const='auto', type=ray_address, metavar='ADDRESS',
                        help=f'{what} on a Ray cluster: the one at this address, else the running one, else one that '
                             'is started on this machine for this command (docs/howto/cluster.md)')


def ray_address(value: str) -> str:
    """Read the value of `--ray`: `auto`, `local`, or a host with its port."""
    if value in ('auto', 'local') or re.fullmatch(r'(ray://)?[^/]+:\d+', value):
        return value
    raise argparse.ArgumentTypeError(f'expected nothing, auto, local or HOST:PORT, but got {value!r}; put --ray after '
                                     'the folders')


@contextmanager
def opened_cluster(args: argparse.Namespace) -> Iterator['Cluster | None']:
    """Yield the cluster that `--ray` and `--workers` name, or None without `--ray`."""
    if args.ray is None:
        yield None
        return
    from vlfusion.system.ray_cluster import Cluster
    with Cluster(args.ray, workers=args.workers, modules=getattr(args, 'modules', ())) as cluster:
        yield cluster


def add_launcher(parser: argparse.ArgumentParser) -> None:
    """Add the option that says how several processes were started."""
    parser.add_argument('--launcher', choices=('none', 'pytorch', 'slurm', 'mpi'), default='none',
                        help='how the processes were started; torchrun is "pytorch"')
    parser.add_argument('--local-rank', type=int, default=0, help=argparse.SUPPRESS)
