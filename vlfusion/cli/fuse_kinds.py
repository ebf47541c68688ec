"""Options of `vlfusion fuse` that only some kinds of input have."""

import argparse

from vlfusion.cli.options import refuse_given
from vlfusion.errors import ConfigError

#: The kinds of input on which an option has an effect, by its name in the namespace. Others have one on all.
ONLY = {
    **dict.fromkeys(['text', 'maps', 'page_b', 'bands_b'], ['pictures']),
    'suffix': ['pictures', 'stacks', 'videos'],
    **dict.fromkeys(['names', 'skip_existing', 'page_a', 'bands_a'], ['pictures', 'stacks']),
    **dict.fromkeys(['grey', 'range_a'], ['pictures', 'stacks', 'videos']),
    'range_b': ['pictures', 'videos'],
    'batch_size': ['pictures', 'volumes', 'videos'],
    'order': ['stacks'],
    **dict.fromkeys(['onto', 'axis', 'window_a', 'window_b', 'colormap', 'mosaic', 'keep_patient'], ['volumes']),
    'describe': ['pictures', 'volumes', 'videos'],
    'fit': ['pictures', 'videos'],
    'register': ['pictures'],
    'ray': ['pictures'],
    'workers': ['pictures'],
    'depth': ['pictures', 'stacks', 'videos'],
    **dict.fromkeys(['frame_rate', 'offset', 'codec', 'no_audio'], ['videos']),
}


def require_effect(args: argparse.Namespace, kind: str) -> None:
    """Raise ConfigError if an option is given that has no effect on this kind of input.

    Args:
        args: the parsed arguments.
        kind: `pictures`, which are pairs of them, `stacks`, `volumes` or `videos`.
    """
    refuse_given(args, [name for name, kinds in ONLY.items() if kind not in kinds], f'on {kind}')
    if args.workers and args.ray is None:
        raise ConfigError('--workers has no effect without --ray.', 'Add --ray, or leave it out.')
    if args.describe == 'scene' and kind != 'videos':
        raise ConfigError(f'--describe scene is for videos, but these are {kind}.', 'Leave the word out.')
    if not isinstance(args.describe, bool) and kind == 'pictures':
        raise ConfigError('--describe every=N is for volumes and videos; each pair of pictures has its own words.',
                          'Write --describe alone.')
