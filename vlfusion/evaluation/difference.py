"""Differences between two pictures of the same name, in grey levels, for example of an output and the authors' own."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vlfusion.data.pairs import as_pattern, find_files, read_images
from vlfusion.errors import DataError, listing


@dataclass(frozen=True)
class Difference:
    """Differences of the samples (pixels, times channels of colour) of one pair of pictures or of several.

    Attributes:
        name: stem that the two files share.
        largest: largest absolute difference in grey levels.
        mean: mean absolute difference in grey levels.
        equal: share of equal samples, 0 to 1.
        samples: number of compared samples.
    """

    name: str
    largest: int
    mean: float
    equal: float
    samples: int


def differences(one: str | os.PathLike, other: str | os.PathLike) -> list[Difference]:
    """Compare two files, or all pictures of the same name in two folders.

    Args:
        one, other: two files; or two folders or patterns, as `vlfusion.data.pairs.find_pairs` takes them
            (`fused/{name}.png`).

    Raises:
        DataError: a picture has no partner or cannot be read, or two differ in size, colour or depth; each is named.
    """
    if Path(one).is_file() and Path(other).is_file():
        files: Mapping = {Path(one).stem: (Path(one), Path(other))}
    else:
        for place in (one, other):
            if Path(place).is_file():
                raise DataError(f'{place} is a picture, but the other path is not.',
                                'Give two pictures or two folders.')
        files = find_files('.', {'the first folder': as_pattern(one), 'the second folder': as_pattern(other)},
                           remedy='Pictures are matched by name. Write {name} in place of the name, as in '
                                  'results/{name}_fused.png')
    results, problems = [], []
    for name, paths in files.items():
        images, faults = read_images(name, paths)
        forms = {f'{path} is {image.dtype} {"colour" if image.ndim == 3 else "grey"}'
                 for path, image in zip(paths, images, strict=False)}
        if not faults and len({(image.dtype, image.ndim) for image in images}) > 1:
            faults = [f'{name}: {" and ".join(sorted(forms))}']
        problems += faults
        if not faults:
            error = np.abs(images[0].astype(int) - images[1])
            results.append(Difference(name, int(error.max()), float(error.mean()), float((error == 0).mean()),
                                      error.size))
    if problems:
        raise DataError(f'{len(problems)} pictures cannot be compared:\n{listing(problems, len(problems))}',
                        'Both must have the same size and depth, and be both grey or both in colour (`fuse --grey`).')
    return results


def over_all(found: list[Difference]) -> Difference:
    """Join differences: the largest of all, and mean and share over all samples.

    >>> over_all([Difference('1', 1, 0.5, 0.5, 10), Difference('2', 3, 1.5, 0.0, 30)])
    Difference(name='all', largest=3, mean=1.25, equal=0.125, samples=40)
    """
    samples = sum(part.samples for part in found)
    return Difference('all', max(part.largest for part in found),
                      sum(part.mean * part.samples for part in found) / samples,
                      sum(part.equal * part.samples for part in found) / samples, samples)
