"""Compare methods by their per-image scores, and print a table in which a tie is a tie.

    vlfusion evaluate fused/film --source-a IR/ --source-b VI/ --out scores/FILM.csv
    vlfusion evaluate fused/cddfuse --source-a IR/ --source-b VI/ --out scores/CDDFuse.csv
    vlfusion leaderboard scores/*.csv --out table.md table.tex table.json

A method is called as its file, or NAME=FILE. Bold is what is significantly better than every other method; `=` marks
what nothing is better than, but which is not better than all. In brackets is the rank: 1 plus the number of methods
that are significantly better (Wilcoxon's signed-rank test with Holm's correction, after Iman and Davenport's test over
all). A terminal gets a table, with the places that a method may take beside its own; a pipe gets Markdown.
"""

import argparse

from vlfusion.errors import ConfigError, DataError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.guards.ranges import FRACTION
    parser.add_argument('scores', nargs='+', metavar='[NAME=]FILE.csv', help='per-image scores of each method')
    parser.add_argument('--metrics', nargs='+', help='which of them (default: all that every file has)')
    parser.add_argument('--alpha', type=FRACTION, default=0.05, help='level of significance (default: %(default)s)')
    parser.add_argument('--correction', default='holm', help='for the number of comparisons: holm (default) or finner')
    parser.add_argument('--out', nargs='+', metavar='FILE', default=[], help='files to write: .md, .tex, .json')


def run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from vlfusion.guards.outputs import check_outputs

    # `scores/*.csv` catches the control images' files too.
    files = [one for one in args.scores if '=' in one or not one.endswith('.controls.csv')] or args.scores
    controls = [one for one in args.scores if one not in files]
    scores = {}
    for one in files:
        name, _, path = one.rpartition('=')
        if not Path(path).is_file():
            raise DataError(f'There is no file {path}.',
                            'Give per-image scores, as `vlfusion evaluate --out` writes them.')
        if (name := name or Path(path).stem) in scores:
            raise ConfigError(f'Two methods are called {name!r}.', f'Give one another name: NAME={path}')
        scores[name] = path
    check_outputs(args.out, scores.values())

    from rich.console import Console

    from vlfusion.analysis.leaderboard import leaderboard, print_board
    board = leaderboard(scores, metrics=args.metrics, alpha=args.alpha, correction=args.correction)
    for path in args.out:
        board.write(path)
    print_board(board, Console())
    print(f'\n{board.images} images, protocol {board.protocol or "unknown"}, alpha {board.alpha:g}.'
          + ''.join(f' Wrote {path}.' for path in args.out))
    if controls:
        print(f'Note: left out, because they hold control images: {", ".join(controls)}.')
    if board.warning:
        print(f'Note: {board.warning}')
    return 0
