"""Compare methods on data sets under one protocol: tables with significant differences, costs, and a report.

    vlfusion benchmark mif
    vlfusion benchmark mif --get        # from nothing: first download weights and public data sets
    vlfusion benchmark mif --out results/mif --cfg-options datasets.Harvard.data_root=/data/Harvard
    vlfusion benchmark my_config.py
    torchrun --nproc-per-node 2 tools/benchmark.py mif --launcher pytorch

Results are cached by the content of weights, code, images, text and protocol. So a run that was killed, or a config
with another method, computes only what is missing. A method that fails becomes a row with its error, and the exit code
is 1. Images are described for models that read text.
"""

import argparse
import sys
import time

from vlfusion.errors import listing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.options import add_config, add_launcher, add_words
    from vlfusion.cli.tables import add_json
    add_config(parser)
    add_words(parser, keeps=True)
    parser.add_argument('--out', help='folder to write to (default: work_dirs/benchmark/NAME)')
    parser.add_argument('--cache', help='folder of cached results, which comparisons may share (default: OUT/cache)')
    parser.add_argument('--ablation', metavar='DIR', help='output folder of `ablate-text`, to show in the report')
    parser.add_argument('--get', action='store_true',
                        help='first download the weights and the public data sets that are not here')
    parser.add_argument('--describe', action='store_true',
                        help='also describe images with parts that need a network, a key or files of a hub (parts that '
                             'need nothing from outside are always used)')
    parser.add_argument('--no-report', action='store_true', help='write tables only')
    add_json(parser)
    add_launcher(parser)


def run(args: argparse.Namespace) -> int:
    from vlfusion.benchmark.names import require_comparison
    require_comparison(args.config)

    from rich.console import Console

    from vlfusion.benchmark import load_plan, run_plan
    from vlfusion.benchmark.needs import needs_of
    from vlfusion.benchmark.outputs import print_summary
    from vlfusion.benchmark.processes import Group
    from vlfusion.cli.tables import print_json
    from vlfusion.console.progress import ShowProgress

    began = time.perf_counter()
    options = {**(args.cfg_options or {}), **({'words': args.words} if args.words else {})}
    plan = load_plan(args.config, options, out=args.out, cache=args.cache)
    group = Group(args.launcher)
    if args.get and group.rank == 0 and (needs := str(needs_of(plan))):
        print(needs, file=sys.stderr)
    with ShowProgress(quiet=group.rank > 0) as progress:
        comparison = run_plan(plan, get=args.get, describe=args.describe, report=not args.no_report,
                              ablation=args.ablation, group=group, progress=progress)
    if group.rank == 0 and args.json:
        print_json(dict(sets={result.name: result.board.facts() for result in comparison.sets},
                        studies={name: dict(board=study.board.facts(), verdicts=study.verdicts())
                                 for name, study in comparison.studies.items()},
                        counts=comparison.counts, files=[str(path) for path in comparison.files]))
    elif group.rank == 0:
        for result in comparison.sets:
            print_summary(result, Console())
        for study in comparison.studies.values():
            print(study.markdown())
        counts = comparison.counts
        print(f'Fused {counts["fused"]} pairs ({counts["known pairs"]} known), scored {counts["scored"]} pictures '
              f'({counts["known scores"]} known), in {time.perf_counter() - began:.0f} s.')
        for path in comparison.files:
            print(f'Wrote {path}')
    if group.rank == 0:
        _print_failures(comparison.failures)
    code = 1 if comparison.failures else 0
    group.end(code)
    return code


def _print_failures(failures: dict[tuple[str, str], str]) -> None:
    sets: dict[tuple[str, str], list[str]] = {}  # of each method and reason, so that a reason is printed once
    for (dataset, method), reason in failures.items():
        sets.setdefault((method, reason), []).append(dataset)
    if sets:
        lines = [f'{", ".join(datasets)}: {method}: {reason}' for (method, reason), datasets in sets.items()]
        print(f'{len(lines)} method{"s" * (len(lines) > 1)} failed:\n{listing(lines, len(lines))}', file=sys.stderr)
