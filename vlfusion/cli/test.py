"""Fuse test pairs with a trained model: pictures in grey and colour, and a table of numbers per image.

    vlfusion test film/film_mif work_dirs/film_mif/best.pth      # the test pairs of a config
    vlfusion test film/film_mif film-mif
    vlfusion test film-mif --source-a my/mri --source-b my/pet   # your own pairs
    vlfusion test film-mif --source-a my/mri --source-b my/pet --texts my/words
"""

import argparse
import sys
from contextlib import nullcontext, redirect_stdout


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.options import add_config, add_launcher, add_texts, add_trust, add_words
    from vlfusion.cli.own_data import add_own_data
    from vlfusion.cli.tables import add_json
    add_config(parser, model=True)
    add_words(parser, keeps=True)
    add_own_data(parser)
    add_texts(parser)
    parser.add_argument('checkpoint', nargs='?',
                        help='a checkpoint, the name of a model such as film-mif, or hf://owner/name (none if the '
                             'model has no weights, or stands in place of the config)')
    add_trust(parser)
    parser.add_argument('--out', help='folder for pictures and metrics.csv (default: WORK_DIR/test_PROTOCOL)')
    parser.add_argument('--protocol', help="how outputs become grey levels, such as 'film' or 'plain'")
    parser.add_argument('--chroma', metavar='RULE', help="where colour comes from: visible, weighted, a plugin's rule "
                                                         "(default: the config's, else the task's)")
    add_json(parser)
    add_launcher(parser)


def run(args: argparse.Namespace) -> int:
    from vlfusion.cli.own_data import describe_for_model, read_config
    from vlfusion.zoo.names import require_model
    if args.checkpoint:
        require_model(args.checkpoint)
    config = read_config(args, trained=True)
    describe_for_model(args, config, ['test'])

    from rich.console import Console

    from vlfusion.cli.tables import print_json
    from vlfusion.engine.compat import end_of_group_member
    from vlfusion.engine.stages import test
    from vlfusion.evaluation.rows import read_csv
    from vlfusion.evaluation.statistics import summary
    from vlfusion.evaluation.tables import summary_table
    with redirect_stdout(sys.stderr) if args.json else nullcontext():
        tested = test(config, args.checkpoint, out=args.out, protocol=args.protocol, chroma=args.chroma,
                      launcher=args.launcher, verbose=args.verbose)
    if tested.runner.rank == 0 and args.json:
        print_json(dict(out=str(tested.out), tables={str(table): summary(read_csv(table)) for table in tested.tables}))
    elif tested.runner.rank == 0:
        for table in tested.tables:
            Console().print(summary_table(read_csv(table)))
        print(f'Fused images:  {tested.out}/grey and {tested.out}/colour\n'
              f'Contact sheet: {tested.out}/sheet.png\n'
              f'Per image:     {tested.out}/metrics.csv')
    if tested.runner.distributed:
        end_of_group_member()
    return 0
