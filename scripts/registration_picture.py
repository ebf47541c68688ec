"""Draw docs/pictures/registration.webp: a misaligned pair before and after, as docs/howto/registration.md shows it.

    python scripts/registration_picture.py

The pair is one of the simulated sample. Its visible image is shifted, turned and enlarged by a known movement.
"""

import tempfile
from pathlib import Path

from PIL import Image

from vlfusion import read_image
from vlfusion.data.sample import make_sample
from vlfusion.imaging.registration.alignment import align, known_movement
from vlfusion.imaging.registration.motion import distance
from vlfusion.imaging.registration.overlay import overlay
from vlfusion.testing.moved_pairs import moved_pair

OUT = Path(__file__).parents[1] / 'docs/pictures/registration.webp'
SIZE, MARGIN = 432, 40


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        make_sample(Path(folder, 'sample'), count=1, size=SIZE)
        infrared, visible = (read_image(next(Path(folder, 'sample/ivf/test', side).glob('*'))) for side in ('ir', 'vi'))
    size = infrared.shape[:2]
    known = known_movement(size, shift=(9, -6), rotation=4, scale=1.04)
    infrared, moved, known = moved_pair(infrared, visible, known, MARGIN / SIZE)
    alignment = align(infrared, moved)
    error = distance(alignment.matrix, known, infrared.shape)
    print(f'{alignment}; error {error:.2f} pixels')
    Image.fromarray(overlay(infrared, moved, alignment)[..., ::-1].copy()).save(OUT, quality=80, method=6)
    print(f'Wrote {OUT}, {OUT.stat().st_size / 1000:.0f} kB.')


if __name__ == '__main__':
    main()
