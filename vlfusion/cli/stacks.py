"""The part of `vlfusion fuse` for stacks: one folder, or more than two pictures, folders or patterns."""

import argparse

from vlfusion.errors import ConfigError

#: Options for pairs that have no effect on stacks, by their names on the command line.
_FOR_PAIRS = {'--map': 'maps', '--text': 'text', '--describe': 'describe', '--batch-size': 'batch_size',
              '--range-b': 'range_b', '--page-b': 'page_b', '--bands-b': 'bands_b'}


def is_stack(args: argparse.Namespace) -> bool:
    """Tell whether the sources are no pair."""
    return args.source_b is None or bool(args.others)


def fuse_stacks(args: argparse.Namespace) -> int:
    """Fuse what the arguments of `vlfusion fuse` name, print a report, and return the exit code."""
    from vlfusion.cli.fuse import report
    from vlfusion.cli.fuse_kinds import require_effect
    from vlfusion.cli.options import import_modules, reading_keys
    from vlfusion.console.progress import ShowProgress
    from vlfusion.inference.stack_files import fuse_stacks
    from vlfusion.system.memory import parse_bytes

    for option, name in _FOR_PAIRS.items():
        if getattr(args, name):
            whose = ' All pictures of a stack are read by the option for A.' if option.endswith('-b') else ''
            raise ConfigError(f'{option} is for pairs of pictures, but a stack was given.{whose}', 'Leave it out.')
    require_effect(args, 'stacks')
    max_memory = args.max_memory and parse_bytes(args.max_memory)
    import_modules(args.modules)
    reading = {key: reading_keys(args)[f'{key}_a'] for key in ('range', 'page', 'bands')}
    sources = [source for source in (args.source_a, args.source_b, *args.others) if source is not None]
    with ShowProgress() as show:
        done = fuse_stacks(args.checkpoint, sources, args.out, names=args.names, order=args.order,
                           skip_existing=args.skip_existing, grey=args.grey, reading=reading, show=show,
                           task=args.task, protocol=args.protocol, chroma=args.chroma, instruction=args.instruction,
                           store=args.store, words=args.words, read_text=not args.no_text,
                           trust=args.trust_checkpoint, modality_a=args.modality_a, modality_b=args.modality_b,
                           device=args.device, tiles=args.tiles, tile_size=args.tile_size, max_memory=max_memory,
                           precision=args.precision)
    report(args, done)
    return 1 if done.failed else 0
