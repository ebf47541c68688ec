"""Move source B of real pairs by known movements, and measure how well the check of registration finds them.

    python performance/registration.py DATA/
    python performance/registration.py DATA/ --kinds RoadScene TNO --motion homography --out work_dirs/homography.csv

DATA/ holds folders such as `ivf/RoadScene/{ir,vi}` and `mif/MRI_CT/{MRI,CT}` (`KINDS`); absent ones are named. Each
pair is measured as published, and again after each movement of source B.

No real pair is perfectly registered, so the reference of `error` is the known movement after the pair's own answer as
published. The authors' error would otherwise count as ours. An error that the check makes both times in the same way
does not show there, so `published` has the error with the published registration as reference.
"""

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from vlfusion.data.pairs import Pair
from vlfusion.files import whole_file
from vlfusion.guards.cells import markdown_table, write_table
from vlfusion.imaging.images import read_image
from vlfusion.imaging.registration.alignment import MOTIONS, align
from vlfusion.imaging.registration.motion import PARAMETERS, Matrix, Size, apply, distance, in_pixels, movement
from vlfusion.inference.folders import find_sources
from vlfusion.testing.moved_pairs import moved_pair


@dataclass(frozen=True)
class Kind:
    """Folders of source A and B; kind of movement; share that is cut off on each side, none of a black background."""

    source_a: str
    source_b: str
    motion: str
    margin: float


KINDS = {'RoadScene': Kind('ivf/RoadScene/ir', 'ivf/RoadScene/vi', 'similarity', 0.12),
         'TNO': Kind('ivf/TNO/ir', 'ivf/TNO/vi', 'similarity', 0.12),
         'MSRS': Kind('ivf/MSRS/ir', 'ivf/MSRS/vi', 'similarity', 0.12),
         'MRI-CT': Kind('mif/MRI_CT/MRI', 'mif/MRI_CT/CT', 'rigid', 0),
         'MRI-PET': Kind('mif/MRI_PET/MRI', 'mif/MRI_PET/PET', 'rigid', 0),
         'MRI-SPECT': Kind('mif/MRI_SPECT/MRI', 'mif/MRI_SPECT/SPECT', 'rigid', 0)}
#: Half widths of the intervals that parameters are drawn from, those of `GENERATORS`: shifts of 3 % of the longer side,
#: rotations of 4 degrees, scales of 4 %, and further ones that move corners by a few per cent.
WIDTHS = (0.06, 0.06, np.radians(4), 0.04, 0.02, 0.02, 0.02, 0.02)


@dataclass(frozen=True)
class Answer:
    """The check of a moved pair. Lengths are in pixels; errors are means over the four corners.

    Attributes:
        moved: distance of the corners that source B was moved by.
        error: distance from the known movement after the pair's own answer as published.
        published: distance from the known movement.
        false: True if the mean distance over the image is larger than the confidence allows.
    """

    kind: str
    name: str
    motion: str
    measure: str
    confidence: str
    confidence_published: str
    moved: float
    error: float
    published: float
    uncertainty: float
    difference: float
    false: bool


def main() -> None:
    args = parse_args()
    answers = []
    with ProcessPoolExecutor(args.workers) as pool:
        for name in args.kinds:
            kind = KINDS[name]
            folders = Path(args.data, kind.source_a), Path(args.data, kind.source_b)
            if not all(folder.is_dir() for folder in folders):
                print(f'{name}: no folder {" or ".join(map(str, folders))}, left out')
                continue
            pairs = find_sources(*folders)[0][:args.most]
            check = partial(check_pair, name, kind, args.motion or kind.motion, args.moves)
            answers += [answer for each in pool.map(check, pairs) for answer in each]
    if args.out:
        with whole_file(args.out) as file:
            write_table(file, list(Answer.__annotations__), map(asdict, answers))
    print(table(answers))


def check_pair(name: str, kind: Kind, motion: str, moves: int, pair: Pair) -> list[Answer]:
    """Check a pair as published, and after each of its movements, which depend on its name alone."""
    cv2.setNumThreads(1)
    image_a, image_b = (read_image(*source) for source in pair.sources)
    size, rng = image_a.shape[:2], np.random.default_rng([*pair.name.encode()])
    before = align(*moved_pair(image_a, image_b, np.eye(3), kind.margin)[:2], motion)
    answers = []
    for _ in range(moves):
        a, b, known = moved_pair(image_a, image_b, draw(rng, motion, size), kind.margin)
        found = align(a, b, motion)
        reference = known @ before.matrix
        allowed = dict(zip(('high', 'fair', 'low'), (*found.limits, np.inf), strict=True))[found.confidence]
        answers.append(Answer(
            name, pair.name, found.motion, found.measure, found.confidence, before.confidence,
            corner_distance(known, np.eye(3), a.shape[:2]), corner_distance(found.matrix, reference, a.shape[:2]),
            corner_distance(found.matrix, known, a.shape[:2]), found.uncertainty, found.difference,
            distance(found.matrix, reference, a.shape[:2]) > allowed))
    return answers


def draw(rng: np.random.Generator, motion: str, size: Size) -> Matrix:
    """A movement of pixels of that kind; homographies are drawn with shear and perspective."""
    count = PARAMETERS[motion]
    return in_pixels(movement(rng.uniform(-1, 1, count) * WIDTHS[:count]), size)


def corner_distance(first: Matrix, second: Matrix, size: Size) -> float:
    """Mean distance in pixels between the places to which two movements take the corners."""
    bottom, right = size[0] - 1, size[1] - 1
    corners = np.array([[0., 0], [right, 0], [0, bottom], [right, bottom]])
    return float(np.linalg.norm(apply(first, corners) - apply(second, corners), axis=1).mean())


def table(answers: list[Answer]) -> str:
    """A line for each kind of pair, and within it for each confidence."""
    head = ('pairs', 'confidence', 'answers', 'median error', '90 %', 'within 0.5', 'false', 'median published', '90 %')
    rows = [line for kind in dict.fromkeys(answer.kind for answer in answers)
            for line in lines([answer for answer in answers if answer.kind == kind])]
    return markdown_table(head, rows, left=2)


def lines(answers: list[Answer]) -> Iterator[tuple[str, ...]]:
    for confidence in ('high', 'fair', 'low', 'all'):
        chosen = [answer for answer in answers if confidence in (answer.confidence, 'all')]
        if not chosen:
            continue
        errors, published = ([getattr(answer, name) for answer in chosen] for name in ('error', 'published'))
        spread = [f'{np.percentile(values, share):.2f}' for values in (errors, published) for share in (50, 90)]
        false = sum(answer.false for answer in chosen)
        yield (chosen[0].kind, confidence, f'{len(chosen)} ({len(chosen) / len(answers):.0%})', *spread[:2],
               f'{np.mean(np.array(errors) <= 0.5):.0%}', '' if confidence == 'low' else str(false), *spread[2:])


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('data', metavar='DATA')
    parser.add_argument('--kinds', nargs='+', choices=KINDS, default=[*KINDS])
    parser.add_argument('--motion', choices=MOTIONS, help='default: similarity for cameras, rigid for slices')
    parser.add_argument('--moves', type=int, default=2, help='movements of each pair')
    parser.add_argument('--most', type=int, help='pairs of each kind')
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--out', type=Path, help='CSV file with a line for each answer')
    return parser.parse_args()


if __name__ == '__main__':
    main()
