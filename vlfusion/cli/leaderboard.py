"""Compare methods by their per-image scores, and print a table with significant differences and ties.

    vlfusion evaluate fused/film --source-a IR/ --source-b VI/ --out scores/FILM.csv
    vlfusion evaluate fused/cddfuse --source-a IR/ --source-b VI/ --out scores/CDDFuse.csv
    vlfusion leaderboard scores/*.csv --out table.md table.tex table.json

A method has the name of its file, unless written NAME=FILE. Bold marks a method that is significantly better than every
other. `=` marks a tie: no method is better, but the marked method does not beat all. The rank is in brackets: 1 plus
the number of methods that are significantly better (Wilcoxon's signed-rank test with Holm's correction, after Iman and
Davenport's test over all). A terminal gets a table with the range of places of each method; a pipe gets Markdown.
"""

import argparse

from vlfusion.errors import ConfigError, DataError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.tables import add_json
    from vlfusion.guards.ranges import FRACTION
    parser.add_argument('scores', nargs='+', metavar='[NAME=]FILE.csv', help='per-image scores of each method')
    parser.add_argument('--metrics', nargs='+', help='metrics to compare (default: all that every file has)')
    parser.add_argument('--alpha', type=FRACTION, default=0.05, help='level of significance (default: %(default)s)')
    parser.add_argument('--correction', default='holm',
                        help='correction for the number of comparisons: holm (default) or finner')
    parser.add_argument('--out', nargs='+', metavar='FILE', default=[], help='files to write: .md, .tex, .json')
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from vlfusion.guards.outputs import check_outputs

    # `scores/*.csv` catches the control images' files too.
    files = [file for file in args.scores if '=' in file or not file.endswith('.controls.csv')] or args.scores
    controls = [file for file in args.scores if file not in files]
    scores = {}
    for file in files:
        name, _, path = file.rpartition('=')
        if not Path(path).is_file():
            raise DataError(f'There is no file {path}.',
                            'Give per-image scores, as `vlfusion evaluate --out` writes them.')
        if (name := name or Path(path).stem) in scores:
            raise ConfigError(f'Two methods have the name {name!r}.', f'Give one another name: NAME={path}')
        scores[name] = path
    check_outputs(args.out, scores.values())

    from rich.console import Console

    from vlfusion.analysis.leaderboard import leaderboard, print_board
    from vlfusion.cli.tables import print_json
    board = leaderboard(scores, metrics=args.metrics, alpha=args.alpha, correction=args.correction)
    for path in args.out:
        board.write(path)
    if args.json:
        print_json(board.facts())
        return 0
    print_board(board, Console())
    print(f'\n{board.images} images, protocol {board.protocol or "unknown"}, alpha {board.alpha:g}.'
          + ''.join(f' Wrote {path}.' for path in args.out))
    if controls:
        print(f'Note: left out, because they hold control images: {", ".join(controls)}.')
    if board.warning:
        print(f'Note: {board.warning}')
    return 0
