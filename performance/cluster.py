"""Measure the cost of a Ray cluster: fusing and scoring in this process, and with one and two workers.

    python performance/cluster.py --model film-ivf --text-dim 384 --pairs 200
    python performance/cluster.py --model laplacian --pairs 2000

Draws pairs, and computes in one thread everywhere. For each way it prints the seconds from the call to the result; with
workers, also the seconds until Ray runs, and those in which workers begin, which a call includes. Files and scores of
all ways are compared to the bit. `memory` is by how much the peak of this process grew, without workers.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import vlfusion
from vlfusion.system.memory import PeakOfProcess
from vlfusion.system.ray_cluster import Cluster
from vlfusion.testing.toys import draw_pairs


def main() -> None:
    args = parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        draw_pairs(place, [f'p{number:06}' for number in range(args.pairs)], size=tuple(args.size))
        options = {}
        if args.text_dim:
            np.save('words.npy', np.random.default_rng(0).normal(size=(60, args.text_dim)).astype(np.float32))
            options['text'] = 'words.npy'
        fuse = partial(vlfusion.fuse, args.model, 'ir', 'vi', device='cpu', **options)
        fuse('warm', names=['p000000'])
        print(f'{args.pairs} pairs of {args.size[0]}x{args.size[1]}')
        began = time.perf_counter()
        measured('fuse, this process', lambda: fuse('plain'))
        plain = time.perf_counter() - began
        for workers in args.workers:
            on_cluster(f'fuse, {workers} workers', workers, lambda cluster, out=f'on{workers}': fuse(
                out, cluster=cluster), plain, args.pairs)
            print(f'{same_files("plain", f"on{workers}")} of {args.pairs} files are equal')
        score = partial(vlfusion.score_folder, 'plain', 'ir', 'vi', workers=1)
        began = time.perf_counter()
        rows = measured('score, this process', score).rows
        plain = time.perf_counter() - began
        for workers in args.workers:
            scores = on_cluster(f'score, {workers} workers', workers, lambda cluster: score(cluster=cluster), plain,
                                args.pairs)
            print('scores are equal' if scores.rows == rows else 'scores DIFFER')


def on_cluster(name: str, workers: int, work: Callable[[Cluster], Any], plain: float, pairs: int) -> Any:
    """Measure some work twice on a local cluster, and compare it to the seconds of this process."""
    began = time.perf_counter()
    with Cluster('local', workers=workers) as cluster:
        cluster.size()
        cluster.gpus()
        started = time.perf_counter() - began
        began = time.perf_counter()
        [*cluster.in_order(lambda: _import_vlfusion, range(workers))]
        begin = time.perf_counter() - began
        began = time.perf_counter()
        result = measured(name, lambda: work(cluster), f'; before that Ray began in {started:.1f} s')
        seconds = time.perf_counter() - began
    print(f'{"":22} {pairs / seconds:7.1f} pairs/s; workers begin in {begin:.1f} s; this process / this = '
          f'{plain / seconds:.2f}, {plain / (seconds - begin):.2f} after workers have begun')
    return result


def _import_vlfusion(items: list) -> list:
    """Do what a worker does before its first item, except for loading a model."""
    import vlfusion.inference.fuser  # noqa: F401
    return items


def measured(name: str, work: Callable[[], Any], more: str = '') -> Any:
    watch, began = PeakOfProcess(), time.perf_counter()
    result = work()
    seconds, peak = time.perf_counter() - began, watch.bytes()
    print(f'{name:22} {seconds:7.1f} s; memory {"?" if peak is None else round(peak / 2**20)} MiB{more}')
    return result


def same_files(one: str, other: str) -> int:
    return sum(path.read_bytes() == Path(other, path.name).read_bytes() for path in Path(one).iterdir())


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--model', default='laplacian')
    parser.add_argument('--text-dim', type=int, default=0, help='width of the text that the model reads, if it does')
    parser.add_argument('--pairs', type=int, default=200)
    parser.add_argument('--size', type=int, nargs=2, default=(96, 120), metavar=('H', 'W'))
    parser.add_argument('--workers', type=int, nargs='+', default=(1, 2))
    return parser.parse_args()


if __name__ == '__main__':
    main()
