"""Compare the pictures of two folders in grey levels, for example the outputs of a method and its authors' own.

    vlfusion compare fused/didfuse authors/TNO_result
    vlfusion compare fused/didfuse 'authors/Test_result/{name}_fused.png'
    vlfusion compare ours.png theirs.png --most 1

Pictures are matched by name. With --most, the exit code is 1 if a picture differs by more levels.
"""

import argparse

from vlfusion.errors import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.tables import add_json
    from vlfusion.guards.ranges import WHOLE
    parser.add_argument('one', help='a picture, a folder, or a pattern such as fused/{name}.png')
    parser.add_argument('other', help='the picture, folder or pattern to compare it with')
    parser.add_argument('--most', type=WHOLE, metavar='LEVELS', help='fail if a picture differs by more levels')
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from vlfusion.evaluation.difference import differences, over_all
    pictures = differences(args.one, args.other)
    beyond = [picture.name for picture in pictures if args.most is not None and picture.largest > args.most]
    if args.json:
        from dataclasses import asdict

        from vlfusion.cli.tables import print_json
        print_json(dict(pictures=[asdict(picture) for picture in pictures], all=asdict(over_all(pictures)),
                        beyond=beyond))
        return 1 if beyond else 0

    from rich.table import Table

    from vlfusion.cli.tables import open_console
    from vlfusion.guards.cells import terminal_cell
    table = Table('picture', 'largest', 'mean', 'equal', box=None)
    for row in [*pictures, *([over_all(pictures)] if len(pictures) > 1 else [])]:
        table.add_row(terminal_cell(row.name), str(row.largest), f'{row.mean:.2g}', f'{row.equal:.3%}')
    open_console(120).print(table)
    if beyond:
        print(f'{len(beyond)} of {len(pictures)} differ by more than {args.most}: {printable(", ".join(beyond))}.')
    return 1 if beyond else 0
