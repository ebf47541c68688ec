"""Stacks on the command line: one folder, or more than two pictures, folders or patterns."""

import argparse

from vlfusion.cli.options import refuse_given
from vlfusion.errors import ConfigError


def is_stack(args: argparse.Namespace) -> bool:
    """Tell whether the sources are no pair."""
    return args.source_b is None or bool(args.others)


def fuse_stacks(args: argparse.Namespace) -> int:
    """Fuse what the arguments of `vlfusion fuse` name, print a report, and return the exit code."""
    from vlfusion.cli.fuse import report
    from vlfusion.cli.fuse_kinds import require_effect
    from vlfusion.cli.options import import_modules
    from vlfusion.console.progress import ShowProgress
    from vlfusion.inference.stack_files import fuse_stacks
    from vlfusion.system.memory import parse_bytes

    require_effect(args, 'stacks')
    max_memory = args.max_memory and parse_bytes(args.max_memory)
    import_modules(args.modules)
    sources = [source for source in (args.source_a, args.source_b, *args.others) if source is not None]
    with ShowProgress() as show:
        done = fuse_stacks(args.checkpoint, sources, args.out, names=args.names, order=args.order,
                           skip_existing=args.skip_existing, suffix=args.suffix, grey=args.grey,
                           reading=reading_of_all(args), show=show, task=args.task, protocol=args.protocol,
                           chroma=args.chroma, instruction=args.instruction, store=args.store, words=args.words,
                           read_text=not args.no_text, trust=args.trust_checkpoint,
                           modality_a=args.modality_a, modality_b=args.modality_b, device=args.device,
                           tiles=args.tiles, tile_size=args.tile_size, max_memory=max_memory, precision=args.precision,
                           depth=args.depth or 8)
    report(args, done)
    return 1 if done.failed else 0


def require_sources(args: argparse.Namespace) -> None:
    """Raise ConfigError if `vlfusion evaluate` got no sources, or options that have no effect on stacks."""
    pair = [args.source_a, args.source_b]
    if None in pair if args.stacks is None else any(pair):
        raise ConfigError('Expected --source-a and --source-b, or --stacks.', 'Name the sources of the fused images.')
    if args.stacks:
        refuse_given(args, ('maps', 'controls', 'sequence', 'range_b', 'page_b', 'bands_b'), 'on stacks')


def reading_of_all(args: argparse.Namespace) -> dict[str, str | int | None]:
    """Return the rule by which all pictures of stacks are read: that of source A."""
    return {'range': args.range_a, 'page': args.page_a, 'bands': args.bands_a}
