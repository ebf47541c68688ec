"""Compare methods on data sets under one protocol: tables in which a tie is a tie, costs, and a report.

    vlfusion benchmark benchmark/mif
    vlfusion benchmark benchmark/mif --out results/mif --cfg-options datasets.Harvard.data_root=/data/Harvard
    torchrun --nproc-per-node 2 tools/benchmark.py benchmark/mif --launcher pytorch

What was done before is not done again, whether the run was killed or the config got another method: results are kept
by the content of weights, code, images, text and protocol. A method that fails is a row with its error, and the exit
code is 1. Images are described for models that read text.
"""

import argparse
import sys
import time

from vlfusion.errors import listing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.options import add_config, add_launcher
    add_config(parser)
    parser.add_argument('--out', help='folder to write to (default: work_dirs/benchmark/NAME)')
    parser.add_argument('--cache', help='folder of results by content, which comparisons may share (default: '
                                        'OUT/cache)')
    parser.add_argument('--ablation', metavar='DIR', help='what `ablate-text` wrote, to be shown in the report')
    parser.add_argument('--describe', action='store_true',
                        help='let models that read text have images described by parts that need a network, a key or '
                             'files of a hub (those that need nothing from outside always may)')
    parser.add_argument('--no-report', action='store_true', help='write tables only')
    add_launcher(parser)


def run(args: argparse.Namespace) -> int:
    from vlfusion.config_names import require_config
    require_config(args.config)

    from rich.console import Console

    from vlfusion.benchmark import load_plan, run_plan
    from vlfusion.benchmark.outputs import print_summary
    from vlfusion.benchmark.processes import Group
    from vlfusion.console.progress import ShowProgress

    began = time.perf_counter()
    plan = load_plan(args.config, args.cfg_options, out=args.out, cache=args.cache)
    group = Group(args.launcher)
    with ShowProgress(quiet=group.rank > 0) as progress:
        done = run_plan(plan, describe=args.describe, report=not args.no_report, ablation=args.ablation, group=group,
                        progress=progress)
    if group.rank == 0:
        for one in done.sets:
            print_summary(one, Console())
        counts = done.counts
        print(f'Fused {counts["fused"]} pairs ({counts["known pairs"]} known), scored {counts["scored"]} pictures '
              f'({counts["known scores"]} known), in {time.perf_counter() - began:.0f} s.')
        for path in done.files:
            print(f'Wrote {path}')
        _print_failures(done.failures)
    code = 1 if done.failures else 0
    group.end(code)
    return code


def _print_failures(failures: dict[tuple[str, str], str]) -> None:
    if failures:
        lines = (f'{dataset}: {method}: {why}' for (dataset, method), why in failures.items())
        print(f'{len(failures)} method{"s" * (len(failures) > 1)} failed:\n{listing(lines, len(failures))}',
              file=sys.stderr)
