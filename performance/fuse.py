"""Measure the cost of fusing beyond the network: a folder with overlapped reading and writing, a large pair, seams.

    python performance/fuse.py folder CHECKPOINT data/ivf/TNO/ir data/ivf/TNO/vi
    python performance/fuse.py memory CHECKPOINT --size 3000 4000 --tile-size 1024
    python performance/fuse.py seams CHECKPOINT data/mff/Lytro/near data/mff/Lytro/far --tile-size 256
    python performance/fuse.py precision CHECKPOINT data/ivf/TNO/ir data/ivf/TNO/vi

CHECKPOINT may be a config of a method without weights. `folder` fuses the same pairs with `fuse_many` and one by one,
in turns. `memory` fuses a synthetic pair whole and in tiles. `seams` compares blended windows with the whole image, and
`precision` compares the precisions, and bfloat16 under autocast.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from unittest.mock import patch

import cv2
import numpy as np
import torch

from vlfusion import Fuser
from vlfusion.data.pairs import find_pairs
from vlfusion.imaging.images import luminance, read_image, write_image
from vlfusion.inference.network import PRECISIONS
from vlfusion.inference.tiling import fuse_in_tiles, plan
from vlfusion.metrics import PSNR
from vlfusion.models import locality
from vlfusion.system.footprint import footprint
from vlfusion.system.memory import PeakOfProcess


def main() -> None:
    args = parse_args()
    torch.set_num_threads(args.threads)
    {'folder': folder, 'memory': memory, 'seams': seams, 'precision': precision}[args.part](args)


def folder(args: argparse.Namespace) -> None:
    """Measure the seconds of a folder, overlapped and pair by pair, and count equal files."""
    fuser = Fuser(args.checkpoint, batch_size=args.batch_size)
    pairs = find_pairs('.', args.source_a, args.source_b)[:args.limit]
    with tempfile.TemporaryDirectory() as out:
        def overlapped() -> None:
            for _ in fuser.fuse_many(pairs, finish=lambda pair, fused: fused.save(f'{out}/many/{pair.name}.png')):
                pass

        def after_another() -> None:
            for pair in pairs:
                fuser(pair.path_a, pair.path_b).save(f'{out}/single/{pair.name}.png')

        seconds = in_turns({'one after another': after_another, 'overlapped': overlapped}, args.repeats)
        same = sum(Path(out, 'many', f'{pair.name}.png').read_bytes()
                   == Path(out, 'single', f'{pair.name}.png').read_bytes() for pair in pairs)
    for name, value in seconds.items():
        print(f'{name:18} {value:7.2f} s  {len(pairs) / value:6.2f} pairs/s')
    print(f'ratio {seconds["one after another"] / seconds["overlapped"]:.2f}; {same} of {len(pairs)} files are equal')


def memory(args: argparse.Namespace) -> None:
    """Measure seconds and memory of one pair, for the network alone and from file to file, beside the estimate."""
    size, fuser = tuple(args.size), Fuser(args.checkpoint)
    began = time.perf_counter()
    expected, local = footprint(fuser.network, torch.device(fuser.device)), locality(fuser.model.backbone)
    print(f'{size[0]}x{size[1]}; {expected.linear:.0f} bytes a pixel ({expected.how} in '
          f'{time.perf_counter() - began:.1f} s)')
    tiles = plan(size, local, 'exact' if local and local.holds(*size) else 'blend', args.tile_size)
    with tempfile.TemporaryDirectory() as out:
        paths = [Path(out, name) for name in ('a.png', 'b.png')]
        for path, channels in zip(paths, (1, 3), strict=True):
            write_image(path, drawn(*size, channels))
        fuser.network(inputs_of(paths, 64))  # warms up
        for cut in ([] if args.no_whole else [plan(size, local, 'whole')]) + [tiles]:
            fuser.tiles, fuser.tile_size = cut.mode, args.tile_size
            alone = measured(partial(fuse_in_tiles, fuser.network, inputs_of(paths), cut))
            everything = measured(lambda: fuser(*paths).save(Path(out, 'fused.png')))
            print(f'{cut.mode:6} {cut.tile[0]}x{cut.tile[1]}: expected {expected.bytes(cut.pixels) / 2**20:.0f} MiB; '
                  f'network {alone}; file to file {everything}')


def seams(args: argparse.Namespace) -> None:
    """Measure the difference between blended windows and the whole image in grey levels, by the windows' overlap."""
    fuser = Fuser(args.checkpoint)
    errors = {}
    for pair in find_pairs('.', args.source_a, args.source_b)[:args.limit]:
        inputs = inputs_of((pair.path_a, pair.path_b))
        size = tuple(inputs['source_a'].shape[-2:])
        whole = fuser.network(inputs)
        for overlap in args.overlaps:
            cut = plan(size, None, 'blend', args.tile_size, overlap=overlap)
            error = 255 * (fuse_in_tiles(fuser.network, inputs, cut) - whole).abs()
            rows, columns = (sum(span.stop - span.start for span in side) for side in cut.grid(size))
            errors.setdefault(overlap, []).append(
                (error.mean().item(), error.quantile(0.99).item() if error.numel() < 2**24 else float('nan'),
                 error.max().item(), rows * columns / (size[0] * size[1])))
    for overlap, values in errors.items():
        average, most, largest, work = np.mean(values, 0)
        print(f'windows of {args.tile_size}, {overlap:3} shared: mean {average:6.2f}, 99 % {most:6.2f}, '
              f'largest {largest:6.1f} grey levels (means of {len(values)} pairs); {work:.2f} times the pixels')


def precision(args: argparse.Namespace) -> None:
    """Measure the PSNR of fused images against their sources in all precisions, and the seconds per pair."""
    build = partial(Fuser, args.checkpoint, store=args.store, modality_b=args.modality_b, protocol='plain')
    fusers = {name: build(precision=name) for name in PRECISIONS}
    with patch.object(type(fusers['float32'].model.backbone), 'bfloat16_weights', False, create=True):
        fusers['autocast'] = build(precision='bfloat16')
    scores, seconds = defaultdict(list), defaultdict(list)
    for pair in find_pairs('.', args.source_a, args.source_b)[:args.limit]:
        sources = [255 * source for source in inputs_of((pair.path_a, pair.path_b)).values()]
        for name, fuser in fusers.items():
            fuser(pair.path_a, pair.path_b)  # describes the pair and warms up
            began = time.perf_counter()
            grey = fuser(pair.path_a, pair.path_b).grey
            seconds[name].append(time.perf_counter() - began)
            scores[name].append(PSNR(torch.from_numpy(grey)[None, None].float(), *sources).item())
    for name in fusers:
        differences = np.subtract(scores[name], scores['float32'])
        print(f'{name:9} PSNR {np.mean(scores[name]):.3f} dB, from float32 by {differences.mean():+.3f} dB, at most '
              f'{np.abs(differences).max():.3f} dB; {median(seconds[name]):.2f} s a pair, float32 / this = '
              f'{median(seconds["float32"]) / median(seconds[name]):.2f}')


def in_turns(functions: dict[str, Callable[[], None]], repeats: int) -> dict[str, float]:
    """Return the median seconds of each function. They take turns, and the first turn warms up."""
    seconds = {name: [] for name in functions}
    for repeat in range(repeats + 1):
        for name, function in functions.items():
            began = time.perf_counter()
            function()
            if repeat:
                seconds[name].append(time.perf_counter() - began)
    return {name: median(values) for name, values in seconds.items()}


def measured(function: Callable[[], object]) -> str:
    watch, began = PeakOfProcess(), time.perf_counter()
    function()
    seconds, peak = time.perf_counter() - began, watch.bytes()
    return f'{seconds:7.2f} s, {"?" if peak is None else round(peak / 2**20)} MiB'


def inputs_of(paths: tuple, side: int | None = None) -> dict[str, torch.Tensor]:
    """Return the luminance of both images, or of their corner of `side` pixels."""
    return {name: torch.from_numpy(luminance(read_image(path)[:side, :side]))[None, None]
            for name, path in zip(('source_a', 'source_b'), paths, strict=True)}


def drawn(height: int, width: int, channels: int) -> np.ndarray:
    """Return a smooth random image with a little noise."""
    generator = np.random.default_rng(channels)
    coarse = generator.integers(0, 256, (height // 50 + 2, width // 50 + 2, channels)).astype(np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return cv2.add(image, generator.integers(0, 8, image.shape, np.uint8))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('part', choices=('folder', 'memory', 'seams', 'precision'))
    parser.add_argument('checkpoint')
    parser.add_argument('source_a', nargs='?', help='folder')
    parser.add_argument('source_b', nargs='?', help='folder')
    parser.add_argument('--store', help="precision: text store (default: the checkpoint's)")
    parser.add_argument('--modality-b', help='precision: modality of source B, as for `vlfusion fuse`')
    parser.add_argument('--limit', type=int, help='number of pairs (default: all)')
    parser.add_argument('--batch-size', type=int, default=1)
    parser.add_argument('--size', type=int, nargs=2, default=(3000, 4000), metavar=('H', 'W'))
    parser.add_argument('--tile-size', type=int, default=512)
    parser.add_argument('--no-whole', action='store_true', help='memory: fuse in tiles only')
    parser.add_argument('--overlaps', type=int, nargs='+', default=(0, 64, 128), help='rows that windows share')
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--threads', type=int, default=2)
    return parser.parse_args()


if __name__ == '__main__':
    main()
