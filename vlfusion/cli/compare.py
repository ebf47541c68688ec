"""Say how far the pictures of two folders lie apart in grey levels: does an output reproduce its authors' own?

    vlfusion compare fused/didfuse authors/TNO_result
    vlfusion compare fused/didfuse 'authors/Test_result/{name}_fused.png'
    vlfusion compare ours.png theirs.png --most 1

Pictures are matched by name. With --most the exit code is 1 where a picture differs by more levels.
"""

import argparse

from vlfusion.errors import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.guards.ranges import WHOLE
    parser.add_argument('one', help='a picture, a folder, or a pattern such as fused/{name}.png')
    parser.add_argument('other', help='likewise')
    parser.add_argument('--most', type=WHOLE, metavar='LEVELS', help='fail where a picture differs by more levels')


def run(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from vlfusion.evaluation.difference import differences, over_all
    from vlfusion.guards.cells import terminal_cell
    found = differences(args.one, args.other)
    table = Table('picture', 'largest', 'mean', 'equal', box=None)
    for one in [*found, *([over_all(found)] if len(found) > 1 else [])]:
        table.add_row(terminal_cell(one.name), str(one.largest), f'{one.mean:.2g}', f'{one.equal:.3%}')
    Console(width=None if Console().is_terminal else 120).print(table)
    beyond = [one.name for one in found if args.most is not None and one.largest > args.most]
    if beyond:
        print(f'{len(beyond)} of {len(found)} differ by more than {args.most}: {printable(", ".join(beyond))}.')
    return 1 if beyond else 0
