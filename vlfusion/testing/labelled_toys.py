"""Drawn scenes with labels, in which each source shows what the other hides: only a fused picture shows both."""

import os
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from vlfusion.downstream.classes import ClassTable

#: Classes of the boxes: warm discs, which are bright in source A, and painted squares, which are dark in source B.
THINGS = ClassTable(('warm', 'painted'))
#: Classes of the masks: the same after pixels of no thing.
SURFACES = ClassTable(('nothing', *THINGS.names), void=0, palette=((0, 0, 0), (192, 64, 0), (0, 96, 192)))


def draw_scenes(folder: str | os.PathLike, names: Iterable[str], size: tuple[int, int] = (64, 64),
                seed: int = 0) -> None:
    """Write pairs with a label of each kind: `ir/`, `vi/`, `labels/` (YOLO txt of `THINGS`), `masks/` (of `SURFACES`).

    Both sources have a noisy smooth ground of their own. Each scene has one to two discs and one to two squares, which
    do not overlap. Where a source hides a thing, its ground goes on.

    Args:
        folder: data root that gets the folders.
        names: file names without an ending.
        size: height and width in pixels.
        seed: seed of the random numbers; equal arguments give equal scenes.
    """
    root, (height, width) = Path(folder), size
    generator = np.random.default_rng(seed)
    for place in ('ir', 'vi', 'labels', 'masks'):
        (root / place).mkdir(parents=True, exist_ok=True)
    for name in names:
        infrared, *paint = (_ground(generator, size) for _ in range(4))
        visible, mask, lines = np.stack(paint, 2), np.zeros(size, np.uint8), []
        for kind in [0] * generator.integers(1, 3) + [1] * generator.integers(1, 3):
            side = int(generator.integers(min(size) // 6, min(size) // 4))
            for _ in range(100):  # a free place; crowded scenes have fewer things
                top, left = int(generator.integers(0, height - side)), int(generator.integers(0, width - side))
                if not mask[max(top - 2, 0):top + side + 2, max(left - 2, 0):left + side + 2].any():
                    break
            else:
                continue
            shape = np.ones((side, side), bool)
            if kind == 0:
                rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
                shape = rows ** 2 + columns ** 2 <= (side / 2) ** 2
            place = slice(top, top + side), slice(left, left + side)
            mask[place][shape] = kind + 1
            if kind == 0:
                infrared[place][shape] += 90
            else:
                visible[place][shape] -= 60
            lines.append(f'{kind} {(left + side / 2) / width:.6f} {(top + side / 2) / height:.6f} '
                         f'{side / width:.6f} {side / height:.6f}')
        for place, image in (('ir', infrared), ('vi', visible), ('masks', mask)):
            cv2.imwrite(str(root / place / f'{name}.png'), np.clip(image, 0, 255).astype(np.uint8))
        (root / 'labels' / f'{name}.txt').write_text('\n'.join(lines) + '\n')


def _ground(generator: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A smooth ground of about 60 to 120 grey levels, with noise."""
    smooth = cv2.GaussianBlur(generator.normal(0, 1, size), (0, 0), min(size) / 8)
    return 90 + 12 * smooth / smooth.std() + generator.normal(0, 4, size)
