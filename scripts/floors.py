"""Score fusions that learn nothing on public test sets, and print the page `docs/reference/floors.md`.

    python scripts/floors.py DATA [--pictures DIR] > docs/reference/floors.md

DATA holds the sets in the folders of `SETS`. The average is rounded down, the other results to the nearest level. The
Laplacian pyramid (Burt and Adelson, IEEE Trans. Commun. 31(4), 1983) takes the larger coefficient of each of four
levels and the average of the residual.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from vlfusion.data.pairs import find_pairs
from vlfusion.evaluation.folder import score_folder
from vlfusion.evaluation.rows import columns
from vlfusion.evaluation.statistics import statistics
from vlfusion.imaging.images import luminance, read_image, write_image

METRICS = ('EN', 'SD', 'SF', 'AG', 'MI', 'SCD', 'VIF', 'Qabf', 'SSIM', 'Nabf', 'CC')
#: Title: task, folders of source A and source B, folder of the truth.
SETS = {
    'RoadScene, 25 of the 50 pairs of CDDFuse': ('ivf', 'ivf/RoadScene/ir', 'ivf/RoadScene/vi', None),
    'RoadScene, the 171 other pairs': ('ivf', 'ivf/RoadScene_train/ir', 'ivf/RoadScene_train/vi', None),
    'TNO, 8 of the 25 pairs of CDDFuse': ('ivf', 'ivf/TNO/ir', 'ivf/TNO/vi', None),
    'Harvard MRI-CT, test': ('mif', 'mif/Harvard/CT-MRI/test/MRI', 'mif/Harvard/CT-MRI/test/CT', None),
    'Harvard MRI-PET, test': ('mif', 'mif/Harvard/PET-MRI/test/MRI', 'mif/Harvard/PET-MRI/test/PET', None),
    'Harvard MRI-SPECT, test': ('mif', 'mif/Harvard/SPECT-MRI/test/MRI', 'mif/Harvard/SPECT-MRI/test/SPECT',
                                None),
    'MRI-CT, 10 of the pairs of CDDFuse': ('mif', 'mif/MRI_CT/MRI', 'mif/MRI_CT/CT', None),
    'MRI-PET, 21 of the pairs of CDDFuse': ('mif', 'mif/MRI_PET/MRI', 'mif/MRI_PET/PET', None),
    'MRI-SPECT, 36 of the pairs of CDDFuse': ('mif', 'mif/MRI_SPECT/MRI', 'mif/MRI_SPECT/SPECT', None),
    'MEFB, 20 of the 100 pairs': ('mef', 'mef/MEFB/*/{name}_B.*', 'mef/MEFB/*/{name}_A.*', None),
    'U2Fusion, 8 multi-exposure pairs': ('mef', 'mef/U2Fusion/over', 'mef/U2Fusion/under', None),
    'Lytro, 10 of the 20 pairs': ('mff', 'mff/Lytro/near', 'mff/Lytro/far', None),
    'Real-MFF, 14 pairs': ('mff', 'mff/RealMFF/near', 'mff/RealMFF/far', None),
    'NYU-D, 40 pairs with the truth': ('mff', 'mff/NYU-D/source_1', 'mff/NYU-D/source_2', 'mff/NYU-D/full_clear'),
}
TOP = """\
# What no network achieves

This page scores three fusions that learn nothing, as floors for every method. Read a method's numbers beside these, and
[what the numbers mean](../explain/numbers.md) beside both. Fused images are 8-bit luminance. The protocol is `film`:
its variants of the metrics, without a stretch, because the files have 8 bits. Values are means over the images.

The tables were printed by `python scripts/floors.py DATA`.
"""


def laplacian_pyramid(source_a: np.ndarray, source_b: np.ndarray, levels: int = 4) -> np.ndarray:
    """Fuse by the larger coefficient of each detail level and the average of the residual."""
    details = []
    for _ in range(levels):
        smaller = [cv2.pyrDown(source) for source in (source_a, source_b)]
        size = source_a.shape[::-1]
        a, b = (source - cv2.pyrUp(small, dstsize=size)
                for source, small in zip((source_a, source_b), smaller, strict=True))
        details.append(np.where(np.abs(a) >= np.abs(b), a, b))
        source_a, source_b = smaller
    fused = (source_a + source_b) / 2
    for detail in reversed(details):
        fused = detail + cv2.pyrUp(fused, dstsize=detail.shape[::-1])
    return fused


FUSIONS = {'average': lambda a, b: np.floor((a + b) / 2), 'maximum': np.maximum, 'Laplacian pyramid': laplacian_pyramid}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('data', type=Path)
    parser.add_argument('--pictures', type=Path, help='folder to keep the fused images in')
    args = parser.parse_args()
    print(TOP)
    with tempfile.TemporaryDirectory() as folder:
        for title, (task, source_a, source_b, truth) in SETS.items():
            pairs = find_pairs(args.data, source_a, source_b)
            rows = {}
            for fusion, fuse in FUSIONS.items():
                fused = (args.pictures or Path(folder)) / title / fusion
                for pair in pairs:
                    a, b = (255 * luminance(read_image(path)) for path in (pair.path_a, pair.path_b))
                    write_image(fused / f'{pair.name}.png', fuse(a, b).round().clip(0, 255).astype(np.uint8))
                scores = score_folder(fused, args.data / source_a, args.data / source_b,
                                      truth and args.data / truth, metrics=METRICS, task=task)
                rows[fusion] = columns(scores.rows)
            print(f'## {title}\n')
            print('| fusion |', *(f'{column} |' for column in rows['average']))
            print('|---|' + '---|' * len(rows['average']))
            for fusion, scores_by_metric in rows.items():
                print(f'| {fusion} |', *(f'{_mean(values)} |' for values in scores_by_metric.values()))
            print(f'\n{len(pairs)} images.\n')
            print(title, file=sys.stderr)


def _mean(values: np.ndarray) -> str:
    lost = np.count_nonzero(~np.isfinite(values))
    return f'{statistics(values)["mean"]:.3f}' + f' ({lost} undefined)' * bool(lost)


if __name__ == '__main__':
    main()
