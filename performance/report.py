"""Measure a benchmark's HTML report: its size, and the seconds to build it and to open it in headless Chromium.

    python performance/report.py --methods 20 --pairs 100

Images are synthetic: smooth shapes with texture. Source A is grey, source B and the results are in colour.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from vlfusion.analysis.leaderboard import Leaderboard
from vlfusion.analysis.statistics import compare
from vlfusion.benchmark.report import write_report
from vlfusion.benchmark.results import Cost, PairResult, SetResult
from vlfusion.metrics.scoring import DEFAULT_METRICS


def main() -> None:
    args = parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'report.html'
        result = make_set(Path(folder), args)
        start = time.perf_counter()
        write_report(path, [result], {'drawn': True})
        print(f'{args.methods} methods x {args.pairs} pairs of {args.size}x{args.size}: built in '
              f'{time.perf_counter() - start:.1f} s, {path.stat().st_size / 1e6:.1f} MB')
        if args.keep:
            shutil.copy(path, args.keep)
        if browser := shutil.which('chromium'):
            time_browser(path, browser, args.repeats)


def make_set(folder: Path, args: argparse.Namespace) -> SetResult:
    """Write the files of all sources and results, and return them with random scores."""
    generator = np.random.default_rng(0)
    methods = [f'method {index:02}' for index in range(args.methods)]
    names = [f'{index:04}' for index in range(args.pairs)]
    pairs = []
    for name in names:
        scene = draw(generator, args.size)
        files = {part: folder / part / f'{name}.png' for part in ('A', 'B', *methods)}
        for number, (part, file) in enumerate(files.items()):
            file.parent.mkdir(exist_ok=True)
            image = cv2.convertScaleAbs(scene, alpha=0.7 + 0.03 * (number % 10), beta=number % 20)
            cv2.imwrite(str(file), image[..., 0] if part == 'A' else image)
        pairs.append(PairResult(name, files['A'], files['B'], {method: files[method] for method in methods},
                                {'pair': 'A person walks beside a wall under a lamp. ' * 8}))
    scores = {metric: {method: generator.normal(5 + 0.1 * index, 1, args.pairs)
                       for index, method in enumerate(methods)} for metric in DEFAULT_METRICS}
    rows = {method: [{'name': name, 'protocol': 'plain.1'} | {metric: scores[metric][method][index].item()
                                                            for metric in scores} for index, name in enumerate(names)]
            for method in methods}
    board = Leaderboard('plain.1', args.pairs, {metric: compare(values) for metric, values in scores.items()}, 0.05)
    costs = [Cost(method=method, height=args.size, width=args.size, pairs=args.pairs, parameters=10 ** 6,
                  macs=10 ** 9, seconds=0.1, memory=2 ** 26, device='cpu') for method in methods]
    return SetResult('drawn', 'ivf', board, rows, pairs, costs)


def draw(generator: np.random.Generator, size: int) -> np.ndarray:
    """Return a smooth colour image with texture, `(size, size, 3)` uint8."""
    smooth = cv2.GaussianBlur(generator.random((size, size, 3)), (0, 0), size / 16)
    texture = cv2.GaussianBlur(generator.random((size, size, 1)), (0, 0), 1)[..., None]
    mixed = [cv2.normalize(part, None, 0, 1, cv2.NORM_MINMAX).reshape(size, size, -1) for part in (smooth, texture)]
    return (255 * (0.75 * mixed[0] + 0.25 * mixed[1])).astype(np.uint8)


def time_browser(path: Path, browser: str, repeats: int) -> None:
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=['--no-sandbox', '--disable-gpu'])
        for _ in range(repeats):
            page = chromium.new_page()
            start = time.perf_counter()
            page.goto(path.as_uri(), wait_until='commit')
            page.wait_for_selector('.leaderboard tbody tr')
            table = time.perf_counter() - start
            page.wait_for_load_state('load')
            whole = time.perf_counter() - start
            start = time.perf_counter()
            page.click('.pairs a')
            page.evaluate("Promise.all([...document.querySelectorAll('#pictures .own')].map(one => one.decode()))")
            print(f'table after {table:.2f} s, whole page after {whole:.2f} s, a pair '
                  f'{time.perf_counter() - start:.2f} s after a click')
            page.close()
        chromium.close()


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--methods', type=int, default=20)
    parser.add_argument('--pairs', type=int, default=100)
    parser.add_argument('--size', type=int, default=256, help='height and width of the images')
    parser.add_argument('--repeats', type=int, default=3, help='number of times to open it')
    parser.add_argument('--keep', metavar='FILE', help='copy the report to FILE')
    return parser.parse_args()


if __name__ == '__main__':
    main()
