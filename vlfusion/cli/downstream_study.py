"""A downstream study: one network for each method, trained and tested on its fused pictures, and for each source alone.

    vlfusion downstream train my_study.py
    vlfusion downstream test my_study.py --out results/msrs --cfg-options seeds=[0,1,2]

`test` does what `train` left undone, so it can be run alone. What is finished is not done again: a killed run goes on
from its last checkpoint. A method that fails, or whose training diverges, becomes a row with its error, and the exit
code is 1. Configs are described in docs/howto/downstream.md.
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.options import add_config
    from vlfusion.cli.tables import add_json
    add_config(parser)
    parser.add_argument('--out', help='folder to write to (default: work_dirs/downstream/NAME)')
    parser.add_argument('--cache', help='folder of fused pictures, which studies may share (default: OUT/cache)')
    parser.add_argument('--get', action='store_true', help='first download the weights that are not here')
    parser.add_argument('--describe', action='store_true',
                        help='also describe images with parts that need a network, a key or files of a hub')
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from vlfusion.benchmark.study import load_study
    from vlfusion.benchmark.study_result import run_study
    from vlfusion.benchmark.study_run import StudyRun
    from vlfusion.cli.tables import print_json
    from vlfusion.console.progress import ShowProgress

    plan = load_study(args.config, args.cfg_options, out=args.out, cache=args.cache)
    with ShowProgress() as progress:
        if args.action == 'train':
            run = StudyRun.begin(plan, get=args.get, describe=args.describe, progress=progress)
            run.train(run.fuse())
            failures, counts, files = run.failures, run.counts, []
        else:
            result = run_study(plan, get=args.get, describe=args.describe, progress=progress)
            failures, counts, files = result.failures, result.counts, result.files
    if args.json:
        print_json(dict(counts=dict(counts), failures=dict(failures), files=[str(path) for path in files],
                        **(dict(board=result.board.facts(), verdicts=result.verdicts()) if files else {})))
    else:
        if files:
            print(result.markdown())
        if plan.training:
            print(f'Trained {counts["trained"]} networks ({counts["known"]} known).')
        for path in files:
            print(f'Wrote {path}')
    return 1 if failures else 0
