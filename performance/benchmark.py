"""Measure a comparison's cost beyond forward passes and metrics: reading, keys, pictures, records, tables.

    python performance/benchmark.py --data-root data/mif/Harvard
    python performance/benchmark.py --checkpoints work_dirs/released/{ifcnn,sdnet,matr,mufusion}_mif.pth
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch

from vlfusion.benchmark import run as running
from vlfusion.benchmark.manifest import manifest
from vlfusion.benchmark.outputs import write_all
from vlfusion.benchmark.plan import load_plan
from vlfusion.benchmark.run import Run
from vlfusion.benchmark.tables import results

#: Methods without weights. Some take a millisecond, so that the overhead is visible.
METHODS = ('Average', 'Maximum', 'LaplacianPyramid', 'DiscreteWavelet', 'DTCWT', 'GuidedFilterFusion', 'MertensFusion',
           'FocusMeasureFusion')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--data-root', default='data/mif/Harvard')
    parser.add_argument('--limit', type=int, default=72, help='number of pairs (default: %(default)s)')
    parser.add_argument('--checkpoints', nargs='+', default=[], metavar='FILE',
                        help='networks, each of which replaces one of the eight classical methods')
    parser.add_argument('--simple', action='store_true', help='leave out controls and other ways of scoring')
    args = parser.parse_args()
    torch.set_num_threads(1)  # one image is scored at a time, so that the times of the metrics can be added up

    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, 'benchmark.py')
        config.write_text(
            'datasets = dict(Harvard=dict(config="_base_/datasets/harvard", '
            f'data_root={str(Path(args.data_root).absolute())!r}, limit={args.limit}))\n'
            'methods = {name: dict(model=dict(type="FusionModel", backbone=dict(type="vlfusion_classical." + name)))'
            f' for name in {METHODS[:8 - len(args.checkpoints)]}}}\n'
            f'methods |= {{path: dict(checkpoint=path) for path in {args.checkpoints}}}\n'
            f'controls = {not args.simple}\nrobustness = {not args.simple}\n')
        for title in ('first run', 'second run, all cached'):
            spent, seconds, run = once(config, folder)
            total = sum(seconds.values())
            print(f'{title}: {total:.1f} s (' + ', '.join(f'{part} {value:.1f}' for part, value in seconds.items())
                  + f'); fused {run.counts["fused"]}, scored {run.counts["scored"]}')
            if run.counts['fused']:
                own = spent['forward'] + spent['metrics']
                work = seconds['fusing'] + seconds['scoring']
                print(f'    forward passes {spent["forward"]:.1f} s, metrics {spent["metrics"]:.1f} s; '
                      f'fusing and scoring / both = {work / own:.3f}, everything / both = {total / own:.3f}')


def once(config: Path, folder: str) -> tuple[dict[str, float], dict[str, float], Run]:
    """Run the comparison. Return its seconds in forward passes and metrics, the seconds of its stages, and the run."""
    spent = {'forward': 0., 'metrics': 0.}

    def timed(function, part):
        def call(*args, **kwargs):
            began = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                spent[part] += time.perf_counter() - began
        return call

    before = running.measure, running.score_planes
    running.measure, running.score_planes = timed(before[0], 'forward'), timed(before[1], 'metrics')
    seconds, marks = {}, [time.perf_counter()]

    def mark(part):
        marks.append(time.perf_counter())
        seconds[part] = marks[-1] - marks[-2]

    try:
        plan = load_plan(str(config), out=str(Path(folder, 'out')))
        run = Run(plan)
        run.check()
        mark('preparing')
        units = run.fuse()
        mark('fusing')
        run.score(units)
        mark('scoring')
        sets = results(run, units)
        mark('comparing')
        write_all(plan.out, run, units, sets, manifest(run, seconds), report=False)
        mark('writing')
    finally:
        running.measure, running.score_planes = before
    return spent, seconds, run


if __name__ == '__main__':
    main()
