"""Draw docs/pictures/registration.webp: a misaligned pair before and after, as docs/howto/registration.md shows it.

    python scripts/registration_picture.py

The pair is one of the simulated sample. Its visible image is shifted, turned and enlarged by a known movement.
"""

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from vlfusion import read_image
from vlfusion.data.sample import make_sample
from vlfusion.imaging.registration.alignment import align, known_movement
from vlfusion.imaging.registration.motion import distance
from vlfusion.imaging.registration.overlay import overlay
from vlfusion.imaging.registration.warp import warp

OUT = Path(__file__).parents[1] / 'docs/pictures/registration.webp'
SIZE, MARGIN = 432, 40


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        make_sample(Path(folder, 'sample'), count=1, size=SIZE)
        infrared, visible = (read_image(next(Path(folder, 'sample/ivf/test', side).glob('*'))) for side in ('ir', 'vi'))
    size = infrared.shape[:2]
    known = known_movement(size, shift=(9, -6), rotation=4, scale=1.04)
    moved = warp(visible, np.linalg.inv(known), size)
    inner = slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN)
    infrared, moved = np.ascontiguousarray(infrared[inner]), np.ascontiguousarray(moved[inner])
    corner = np.array([[1, 0, -MARGIN], [0, 1, -MARGIN], [0, 0, 1.]])
    alignment = align(infrared, moved)
    error = distance(alignment.matrix, corner @ known @ np.linalg.inv(corner), infrared.shape)
    print(f'{alignment}; error {error:.2f} pixels')
    Image.fromarray(overlay(infrared, moved, alignment)[..., ::-1].copy()).save(OUT, quality=80, method=6)
    print(f'Wrote {OUT}, {OUT.stat().st_size / 1000:.0f} kB.')


if __name__ == '__main__':
    main()
