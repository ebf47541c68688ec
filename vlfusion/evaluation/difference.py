"""Differences between two pictures of one name, in grey levels: does an output reproduce its authors' own?"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vlfusion.data.pairs import as_pattern, find_files, read_images
from vlfusion.errors import DataError, listing


@dataclass(frozen=True)
class Difference:
    """Differences of the samples (pixels, times channels of colour) of one picture or of several.

    Attributes:
        name: the stem that the two files share.
        largest: the largest absolute difference in grey levels.
        mean: the mean absolute difference.
        equal: the share of equal samples, 0 to 1.
        samples: how many were compared.
    """

    name: str
    largest: int
    mean: float
    equal: float
    samples: int


def differences(one: str | os.PathLike, other: str | os.PathLike) -> list[Difference]:
    """The difference of every two pictures of one name in two folders, or of two files.

    Args:
        one: a file, or a folder with patterns as `vlfusion.data.pairs.find_pairs` has them (`fused/{name}.png`).
        other: likewise.

    Raises:
        DataError: a picture has no partner or cannot be read, or two differ in size, colour or depth; each is named.
    """
    if Path(one).is_file() and Path(other).is_file():
        files: Mapping = {Path(one).stem: (Path(one), Path(other))}
    else:
        for place in (one, other):
            if Path(place).is_file():
                raise DataError(f'{place} is a picture, and the other is none.', 'Give two pictures or two folders.')
        files = find_files('.', {'the first folder': as_pattern(one), 'the second folder': as_pattern(other)},
                           remedy='Pictures are matched by name; write {name} where it stands, as in '
                                  'results/{name}_fused.png')
    found, problems = [], []
    for name, paths in files.items():
        images, wrong = read_images(name, paths)
        kinds = {f'{path} is {image.dtype} {"colour" if image.ndim == 3 else "grey"}'
                 for path, image in zip(paths, images, strict=False)}
        if not wrong and len({(image.dtype, image.ndim) for image in images}) > 1:
            wrong = [f'{name}: {" and ".join(sorted(kinds))}']
        problems += wrong
        if not wrong:
            apart = np.abs(images[0].astype(int) - images[1])
            found.append(Difference(name, int(apart.max()), float(apart.mean()), float((apart == 0).mean()),
                                    apart.size))
    if problems:
        raise DataError(f'{len(problems)} pictures cannot be compared:\n{listing(problems, len(problems))}',
                        'Both must have one size, one depth, and both be grey or both in colour (`fuse --grey`).')
    return found


def over_all(found: list[Difference]) -> Difference:
    """The largest difference of all, and mean and share over every sample.

    >>> over_all([Difference('1', 1, 0.5, 0.5, 10), Difference('2', 3, 1.5, 0.0, 30)])
    Difference(name='all', largest=3, mean=1.25, equal=0.125, samples=40)
    """
    samples = sum(one.samples for one in found)
    return Difference('all', max(one.largest for one in found), sum(one.mean * one.samples for one in found) / samples,
                      sum(one.equal * one.samples for one in found) / samples, samples)
