"""Measure the memory of stacks, and how much results depend on the order in which pairs are fused.

    python performance/stacks.py memory laplacian-mff --planes 73 --size 3000 4000
    python performance/stacks.py order STACKS/ film-mff cross-bilateral --scale 0.25

`memory` draws planes of a random scene, each sharp in a band, and fuses them from files, or from the pages of one file
with `--pages`; the peak is that of the whole process, with torch. `order` fuses the stacks of a folder in every order,
and in shuffled ones, and compares the grey levels before the protocol rounds or stretches them.
"""

import argparse
import resource
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import tifffile
import torch

from vlfusion import Fuser, fuse_stacks
from vlfusion.data.stacks import find_stacks
from vlfusion.imaging.images import read_image, write_image
from vlfusion.inference.stacks import ORDERS
from vlfusion.metrics import score_stack

METRICS = ('Qabf', 'MEF_SSIM')


def main() -> None:
    args = parse_args()
    torch.set_num_threads(args.threads)
    {'memory': memory, 'order': order}[args.part](args)


def memory(args: argparse.Namespace) -> None:
    """Measure seconds and the peak memory of the process, from files to a file."""
    with tempfile.TemporaryDirectory() as out:
        stack = Path(out, 'stack')
        draw_planes(stack, args.planes, tuple(args.size))
        if args.pages:
            files, stack = sorted(stack.iterdir()), Path(out, 'pages.tif')
            with tifffile.TiffWriter(stack, bigtiff=True) as file:
                for path in files:
                    file.write(read_image(path)[..., ::-1], photometric='rgb')
                    path.unlink()
        drawn = peak()
        began = time.perf_counter()
        fuse_stacks(args.sources[0], [stack], Path(out, 'fused.png'), tiles=args.tiles)
        seconds, (height, width) = time.perf_counter() - began, args.size
        what = 'pages' if args.pages else 'planes'
        print(f'{args.sources[0]}: {args.planes} {what} of {width}x{height} in {seconds:.0f} s, peak {peak():.2f} GiB '
              f'of the process ({drawn:.2f} GiB before fusing)')


def order(args: argparse.Namespace) -> None:
    """Compare the results of all orders, and of shuffled sources, with those of a tree."""
    folder, *models = args.sources
    for model in models:
        fuser, scores, differences = Fuser(model, protocol='plain'), defaultdict(list), defaultdict(list)
        for stack in find_stacks([folder]):
            sources = [reduced(path, args.scale) for path in stack.paths]
            shuffled = [sources[place] for place in np.random.default_rng(0).permutation(len(sources))]
            ways = [None] if fuser.network.fuses_stacks else list(ORDERS)
            fused = {way: fuser.fuse_stack(sources, order=way) for way in ways}
            fused['shuffled'] = fuser.fuse_stack(shuffled)
            reference = fused[ways[0]].grey.astype(float)
            for way, result in fused.items():
                difference = np.abs(result.grey - reference)
                differences[way].append((difference.mean(), np.percentile(difference, 99), difference.max()))
                scores[way].append([*score_stack(result, sources, METRICS).values()])
        for way, values in differences.items():
            mean, most, largest = np.mean(values, 0)
            named = ', '.join(f'{metric} {value:.3f}' for metric, value in
                              zip(METRICS, np.mean(scores[way], 0), strict=True))
            print(f'{model:16} {way or "all at once":11} from {ways[0] or "all at once"}: mean {mean:.2f}, 99 % '
                  f'{most:.1f}, largest {largest:.0f} grey levels (means of {len(values)} stacks); {named}')


def reduced(path: Path, scale: float) -> np.ndarray:
    """Read a picture, red-green-blue, and make it smaller."""
    image = cv2.resize(read_image(path), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return image[..., ::-1] if image.ndim == 3 else image


def draw_planes(folder: Path, count: int, size: tuple[int, int]) -> None:
    """Write planes of a random scene in colour, each sharp in a band of rows."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (size[0] // 50 + 2, size[1] // 50 + 2, 3)).astype(np.uint8)
    scene = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
    sharp = cv2.add(scene, generator.integers(0, 64, (*size, 3), np.uint8))
    smooth = cv2.GaussianBlur(sharp, (0, 0), 5)
    edges = np.linspace(0, size[0], count + 1).astype(int)
    for number, (first, last) in enumerate(zip(edges, edges[1:], strict=False)):
        plane = smooth.copy()
        plane[first:last] = sharp[first:last]
        write_image(folder / f'{number:03}.tif', plane)


def peak() -> float:
    """Return the greatest resident memory of the process so far, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2 ** 20


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('part', choices=('memory', 'order'))
    parser.add_argument('sources', nargs='+', help='memory: a model; order: a folder of stacks, then models')
    parser.add_argument('--planes', type=int, default=73)
    parser.add_argument('--pages', action='store_true', help='memory: read the planes as pages of one file')
    parser.add_argument('--size', type=int, nargs=2, default=(3000, 4000), metavar=('H', 'W'))
    parser.add_argument('--tiles', default='auto')
    parser.add_argument('--scale', type=float, default=1, help='order: make pictures smaller first')
    parser.add_argument('--threads', type=int, default=1)
    return parser.parse_args()


if __name__ == '__main__':
    main()
