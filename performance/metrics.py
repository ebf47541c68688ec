"""Compare the metrics with the same formulas in numpy and scipy, written as usual in the field, within one run.

    python performance/metrics.py --threads 2              # the six metrics of FILM's tables, then every metric
    python performance/metrics.py --threads 2 --folder     # a folder of 361 fused images

The baseline is `tests/references`: `scipy.signal.convolve2d` for filters, one image and one metric at a time, as in the
released evaluators of FILM and CDDFuse. Both sides must give the same numbers.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    structural_similarity_index_measure,
    visual_information_fidelity,
)

from vlfusion.evaluation.folder import score_folder
from vlfusion.imaging.images import write_image
from vlfusion.metrics.base import metric_names
from vlfusion.metrics.scoring import score_planes

sys.path.insert(0, str(Path(__file__).parents[1] / 'tests'))
from references import REFERENCES  # noqa: E402

SIX = ('EN', 'SD', 'SF', 'AG', 'VIF', 'Qabf')
#: Metrics whose references loop over every window of 3x3 pixels in Python, which takes minutes at full size.
LOOPED = tuple(name for name in REFERENCES if name.startswith('FMI'))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--size', type=int, nargs=2, default=(480, 640), metavar=('HEIGHT', 'WIDTH'))
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--folder', action='store_true', help='time the scoring of a folder instead')
    parser.add_argument('--pairs', type=int, default=361)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.folder:
        _folder(args.pairs, *args.size, args.threads)
        return
    images = _draw(*args.size)
    _compare(f'six metrics, {args.size[0]}x{args.size[1]}', SIX, images, args.repeats)
    whole = [name for name in REFERENCES if name not in LOOPED]
    _compare(f'{len(whole)} metrics, {args.size[0]}x{args.size[1]}', whole, images, args.repeats, each=True)
    _compare('feature mutual information, 48x64', LOOPED, _draw(48, 64), 1, each=True)
    everything = _seconds(lambda: _scores([torch.tensor(image)[None, None] for image in images], metric_names()), 1)
    print(f'\nall {len(metric_names())} metrics, {args.size[0]}x{args.size[1]}: vlfusion together {everything:.2f} s')
    _torchmetrics(images, args.repeats)


def _draw(height: int, width: int, seed: int = 0) -> list[np.ndarray]:
    """Return a noisy fused image and two sources without flat regions, in whole grey levels."""
    rng = np.random.default_rng(seed)
    smooth = (gaussian_filter(rng.uniform(0, 255, (height, width)), 1.5) for _ in range(2))
    source_a, source_b = (image.round() * 3 % 256 for image in smooth)
    fused = 0.6 * source_a + 0.4 * source_b + rng.normal(0, 5, (height, width))
    return [fused.round().clip(0, 255), source_a, source_b]


def _compare(title: str, names: tuple[str, ...], images: list[np.ndarray], repeats: int, each: bool = False) -> None:
    tensors = [torch.tensor(image)[None, None] for image in images]
    ours = _scores(tensors, names)
    for name in names:
        np.testing.assert_allclose(ours[name], REFERENCES[name](*images), rtol=1e-6, atol=1e-9, err_msg=name)
    field = {name: _seconds(lambda name=name: REFERENCES[name](*images), 1 if each else repeats) for name in names}
    alone = {name: _seconds(lambda name=name: _scores(tensors, [name]), repeats) for name in names}
    together = _seconds(lambda: _scores(tensors, names), repeats)
    print(f'\n{title}: numpy {sum(field.values()):.3f} s, vlfusion one by one {sum(alone.values()):.3f} s, '
          f'together {together:.3f} s')
    print(f'    numpy / together {sum(field.values()) / together:.1f}; '
          f'one by one / together {sum(alone.values()) / together:.2f}')
    if each:
        for name in sorted(names, key=field.get, reverse=True):
            print(f'    {name:14} numpy {field[name] * 1e3:9.1f} ms   vlfusion {alone[name] * 1e3:7.1f} ms   '
                  f'ratio {field[name] / alone[name]:.1f}')


def _scores(images: list[torch.Tensor], names: Sequence[str]) -> dict[str, float]:
    return score_planes('the image', dict(zip(('fused', 'source_a', 'source_b'), images, strict=True)), names)[0]


def _torchmetrics(images: list[np.ndarray], repeats: int) -> None:
    """Time the two-image cores of torchmetrics in float32, which is several times faster than float64."""
    fused, *sources = (torch.tensor(image, dtype=torch.float32)[None, None] for image in images)
    print(f'\ntorchmetrics in float32, {fused.shape[2]}x{fused.shape[3]}')
    for name, core in (('SSIM', partial(structural_similarity_index_measure, data_range=255.)),
                       ('MS_SSIM', partial(multiscale_structural_similarity_index_measure, data_range=255.)),
                       ('VIF', visual_information_fidelity)):
        theirs = _seconds(lambda core=core: [core(fused, source) for source in sources], repeats)
        ours = _seconds(lambda name=name: _scores([fused, *sources], [name]), repeats)
        print(f'    {name:14} torchmetrics {theirs * 1e3:7.1f} ms   vlfusion {ours * 1e3:7.1f} ms   '
              f'ratio {theirs / ours:.1f}')


def _seconds(run: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return median(times)


def _folder(pairs: int, height: int, width: int, workers: int) -> None:
    images = _draw(height, width)
    with tempfile.TemporaryDirectory() as root:
        for i in range(pairs):
            for folder, image in zip(('fused', 'a', 'b'), images, strict=True):
                write_image(f'{root}/{folder}/{i:03}.png', np.roll(image, 7 * i, axis=1).astype(np.uint8))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        score_folder(f'{root}/fused', f'{root}/a', f'{root}/b', metrics=SIX, workers=workers)
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f'{pairs} pairs of {height}x{width}, six metrics, {workers} workers: {seconds:.1f} s, '
          f'{seconds / pairs * 1e3:.0f} ms a pair; peak memory {before / 1024:.0f} MiB before, {peak / 1024:.0f} after')


if __name__ == '__main__':
    main()
