"""Cases: two volumes of one patient, found by name, and parts of cases for training and testing."""

import glob
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vlfusion.data.names import composed, require_names
from vlfusion.data.pairs import Names, listed_names
from vlfusion.data.patterns import contents_of
from vlfusion.errors import ConfigError, DataError, did_you_mean, listing
from vlfusion.volumes.nifti import is_nifti_name
from vlfusion.volumes.reading import is_volume

#: Shares of the cases, if a data set takes a part of them.
PARTS = {'train': 0.7, 'val': 0.1, 'test': 0.2}
_RENAME = 'Results are saved in folders of these names: write plain ones, such as sub-01.'


def find_cases(root: str | os.PathLike, source_a: str, source_b: str,
               names: Names | None = None) -> dict[str, tuple[Path, Path]]:
    """Find the volumes of each case, sorted by the name of the case.

        find_cases('data', '{name}/mri.nii.gz', '{name}/pet')   # a folder for each case; pet/ holds a DICOM series
        find_cases('data', 'mri', 'pet')                        # mri/sub-01.nii.gz with pet/sub-01.nii

    Args:
        root: folder that the patterns are relative to.
        source_a: folder of volumes; or a pattern in which `{name}` stands for the name of the case, and `*` for any
            part of a name.
        source_b: the same for source B.
        names: the only cases to use: a list, or a text file relative to `root` with a name on each line.

    Raises:
        ConfigError: a pattern does not say once where the name is.
        DataError: there is no case, a volume has no partner, two volumes have one name, or a listed case is missing.
    """
    root = Path(root)
    found = {what: _volumes(root, pattern, what) for what, pattern in (('source A', source_a), ('source B', source_b))}
    volumes_a, volumes_b = found.values()
    known = volumes_a.keys() | volumes_b.keys()
    chosen, problems = (sorted(known), []) if names is None else listed_names(root, names, known, 'volume')
    problems += [f'{name} has no {what}' for name in chosen for what, volumes in found.items() if name not in volumes]
    if problems:
        raise DataError(f'Cannot pair the volumes under {root.absolute()}:\n{listing(problems)}',
                        'The volumes of a case share one name. Correct source_a, source_b or names.')
    require_names(chosen, root, _RENAME)
    return {name: (volumes_a[name], volumes_b[name]) for name in chosen}


def part_of(names: Sequence[str], part: str, parts: Mapping[str, float] = PARTS, seed: int = 0) -> list[str]:
    """Return the cases of a part. Every case is in exactly one part, with all its slices.

    The order of the cases is drawn by the seed and their names, so it is the same on every machine.

    >>> cases = [f'sub-{number}' for number in range(10)]
    >>> [len(part_of(cases, part)) for part in PARTS]
    [7, 1, 2]
    >>> sorted(part_of(cases, 'train') + part_of(cases, 'val') + part_of(cases, 'test')) == cases
    True

    Args:
        names: names of all cases.
        part: name of a part.
        parts: shares of the parts; they are divided by their sum.
        seed: seed of the order.

    Raises:
        ConfigError: there is no such part, a share is not above 0, or there are too few cases to fill each part.
    """
    if part not in parts:
        raise ConfigError(f'There is no part {part!r} of the cases.', did_you_mean(str(part), parts))
    if not all(share > 0 for share in parts.values()):
        raise ConfigError(f'The shares of the parts are {dict(parts)}.', 'Give each part a share above 0.')
    if len(names) < len(parts):
        raise ConfigError(f'{len(names)} cases are too few for the parts {", ".join(parts)}.',
                          'Give more cases, or list the cases of each part with names=...')
    drawn = sorted(names, key=lambda name: hashlib.sha256(f'{seed}:{name}'.encode()).digest())
    shares = np.cumsum(list(parts.values())) / sum(parts.values())
    ends = [0]
    for number, share in enumerate(shares, 1):  # every part gets a case, and leaves one for each part after it
        ends.append(min(max(round(share * len(drawn)), ends[-1] + 1), len(drawn) - (len(parts) - number)))
    number = list(parts).index(part)
    return sorted(drawn[ends[number]:ends[number + 1]])


def _volumes(root: Path, pattern: str, what: str) -> dict[str, Path]:
    """The volumes that match a pattern, by the name of their case."""
    if (root / pattern).is_dir() and '{name}' not in pattern:
        pattern = f'{glob.escape(pattern.rstrip("/"))}/{{name}}'
    if pattern.count('{name}') != 1:
        raise ConfigError(f'The pattern {pattern!r} of {what} does not say where the name of a case is.',
                          "Name a folder of volumes, or write {name} once, as in '{name}/mri.nii.gz'.")
    head, tail = (re.sub(r'\\\*', '[^/]*', re.escape(part)) for part in pattern.split('{name}'))
    form = re.compile(f'{head}(?P<name>[^/]+?){tail}' + (r'(?:\.nii|\.nii\.gz)?' if not tail else ''))
    volumes: dict[str, list[Path]] = {}
    for place in sorted(glob.glob(os.path.join(glob.escape(str(root)), pattern.replace('{name}', '*')))):
        path = Path(place)
        match = form.fullmatch(path.relative_to(root).as_posix())
        if match and (is_nifti_name(path) or is_volume(path)):
            volumes.setdefault(composed(match['name']), []).append(path)
    if not volumes:
        raise DataError(f'No volume of {what} fits {root / pattern}; {contents_of((root / pattern).parent)}.',
                        'Name a folder of NIfTI files or DICOM series, or a pattern with {name}.')
    if twice := [paths for paths in volumes.values() if len(paths) > 1]:
        raise DataError(f'Several volumes of {what} have one name:\n'
                        f'{listing(", ".join(map(str, paths)) for paths in twice)}', 'Make the pattern more precise.')
    return {name: path for name, [path] in volumes.items()}
