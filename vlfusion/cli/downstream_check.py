"""Read every label of a set, list the faults, and count the classes of each split.

    vlfusion downstream check downstream/m3fd --cfg-options data_root=data/M3FD_Detection
    vlfusion downstream check my_study.py --json

Faults are pairs without a label, labels without a pair, unknown classes, boxes outside of the image, sizes that differ,
boxes that are there twice, images in two splits, and labels that disagree with the `compared_labels` of the config. The
exit code is 1 if there are any. Configs are described in docs/howto/downstream.md.
"""

import argparse
import sys
from itertools import groupby

from vlfusion.errors import printable

#: Faults of one kind that are printed.
MOST = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.options import add_config
    from vlfusion.cli.tables import add_json
    add_config(parser)
    parser.add_argument('--all', action='store_true', help=f'print every fault, not the first {MOST} of each kind')
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from vlfusion.benchmark.study import KEYS
    from vlfusion.cli.tables import open_console, print_json, print_table
    from vlfusion.config import load_config
    from vlfusion.console.progress import ShowProgress
    from vlfusion.downstream.check import check_labels

    config = load_config(args.config, args.cfg_options, KEYS)
    with ShowProgress(quiet=not sys.stderr.isatty()) as show:
        result = check_labels(config, show)
    if args.json:
        print_json(result.facts())
        return 1 if result.faults else 0
    masks = result.kind == 'masks'
    print_table(open_console(), ('class', *(f'{split} {what}' for split in result.counts
                                            for what in ('images', 'pixels' if masks else 'boxes'))),
                [(name, *(number for counts in result.counts.values() for number in (
                    f'{counts.images[name]:,}', _share(counts.things, name) if masks else f'{counts.things[name]:,}')))
                 for name in result.classes.names], whole=('class',))
    for split, counts in result.counts.items():
        ignored = f', {counts.ignored:,} boxes ignored' * bool(counts.ignored)
        print(f'{split}: {counts.pairs:,} pairs, {counts.empty:,} without things{ignored}.')
    for note in result.notes:
        print(printable(f'Note: {note}'))
    _print_faults(result.faults, sys.maxsize if args.all else MOST)
    for (one, other), count in result.swaps.most_common():
        print(printable(f'{count:,} boxes of {one} are {other} in the compared labels.'))
    return 1 if result.faults else 0


def _share(pixels: dict[str, int], name: str) -> str:
    return f'{pixels[name] / max(1, sum(pixels.values())):.2%}'


def _print_faults(faults: list, most: int) -> None:
    """Print the first faults of each kind, and what to do about them."""
    from vlfusion.downstream.labels.faults import KINDS
    order = list(KINDS)
    for kind, group in groupby(sorted(faults, key=lambda fault: order.index(fault.kind)), lambda fault: fault.kind):
        group = list(group)
        print(f'\n{kind}: {len(group):,}. {KINDS[kind]}')
        for fault in group[:most]:
            print(printable(f'    {fault}', lines=False))
        if len(group) > most:
            print(f'    ... and {len(group) - most:,} more; --all prints them')
    print(f'\n{len(faults):,} fault{"s" * (len(faults) > 1)}.' if faults else 'No faults.')
