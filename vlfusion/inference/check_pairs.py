"""Check whether pairs are registered: a movement for each pair, as a table, pictures and registered files."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vlfusion.console.notes import new_run
from vlfusion.console.progress import ShowProgress
from vlfusion.data.names import inside
from vlfusion.data.pairs import Pair
from vlfusion.errors import ConfigError, DataError
from vlfusion.files import whole_file
from vlfusion.guards.cells import write_table
from vlfusion.guards.outputs import check_outputs
from vlfusion.imaging.fit import check_fit, fit_pair
from vlfusion.imaging.images import read_image, write_image
from vlfusion.imaging.registration.alignment import Alignment, align, check_motion, move
from vlfusion.imaging.registration.overlay import overlay
from vlfusion.inference.folders import find_sources

PathLike = str | os.PathLike


@dataclass(frozen=True)
class PairChecks:
    """Result of `check_pairs`.

    Attributes:
        alignments: movement between the sources of each pair, by the pair's name.
        failed: errors of pairs that could not be compared, by the pair's name.
    """

    alignments: dict[str, Alignment]
    failed: dict[str, DataError]

    @property
    def verdicts(self) -> Counter[str]:
        """Number of pairs of each verdict: `aligned`, `misaligned`, `unsure`."""
        return Counter(alignment.verdict for alignment in self.alignments.values())

    def facts(self) -> dict[str, Any]:
        """All pairs as plain data: the columns of `alignment.csv`, and errors of pairs that could not be compared."""
        rows = [_row(name, alignment) for name, alignment in self.alignments.items()]
        return dict(pairs=[{key: None if value == '' else value for key, value in row.items()} for row in rows],
                    verdicts=dict(self.verdicts), common_shift=self.common_shift,
                    failed={name: f'{error.problem} {error.remedy}' for name, error in self.failed.items()})

    @property
    def common_shift(self) -> tuple[float, float] | None:
        """Median shift of the misaligned pairs; None if there are fewer than three, or they do not share it.

        Pairs of one fixed rig share their shift: at least half of them are within two pixels of the median.
        """
        shifts = np.array([each.shift for each in self.alignments.values() if each.verdict == 'misaligned'])
        if len(shifts) < 3:
            return None
        median = np.median(shifts, axis=0)
        near = np.linalg.norm(shifts - median, axis=1) <= 2
        return (float(median[0]), float(median[1])) if near.mean() >= 0.5 else None


def check_pairs(source_a: PathLike, source_b: PathLike, out: PathLike | None = None, *,
                names: Sequence[str] | PathLike | None = None, reading: Mapping[str, Any] | None = None,
                motion: str = 'similarity', register: bool = False, fit: str = 'refuse',
                show: ShowProgress | None = None) -> PairChecks:
    """Estimate the movement between the sources of each pair, and say how far it can be trusted.

        checks = vlfusion.check_pairs('IR/', 'VI/', 'checked/')
        print(checks.verdicts, checks.common_shift)

    Args:
        source_a, source_b: two images, or two folders or patterns, as for `vlfusion.fuse`.
        out: folder to write: `alignment.csv`, a picture `overlay/NAME.png` of each pair, and, if `register` is set,
            `registered/NAME.png`, source B on the pixels of source A. None writes nothing.
        names: names of the only pairs to check, or a text file with a name on each line.
        reading: rules by which the sources are read, as for `vlfusion.fuse`.
        motion: kind of movement, see `vlfusion.imaging.registration.alignment.align`.
        register: write source B of each pair moved onto source A; pairs whose movement is not certain are left out.
            Needs `out`.
        fit: rule for pairs of different size, see `vlfusion.imaging.fit`. All lengths, matrices and registered images
            are in pixels of source A after it.
        show: progress and notes; by default notes are logged and no progress is shown.

    Returns:
        The movements and the errors. A pair that cannot be compared does not stop the others.

    Raises:
        DataError: a source does not exist, or the two do not fit together; or the only pair cannot be compared.
        ConfigError: the motion or the rule is unknown, or `register` is set without `out`.
        VLFusionError: SimpleITK is missing.
    """
    check_motion(motion)
    check_fit(fit)
    if register and out is None:
        raise ConfigError('The option register writes registered images, but there is no folder for them.',
                          "Add --out DIR (in Python out='DIR').")
    pairs, _ = find_sources(source_a, source_b, names, reading)
    if out is not None:
        check_outputs([out], [source_a, source_b, *(path for pair in pairs for path, _ in pair.images)])
    new_run()
    step = show or (lambda *_, **__: None)
    alignments, failed = {}, {}
    step('checking', 0, len(pairs))
    for done, pair in enumerate(pairs, 1):
        try:
            alignments[pair.name] = _check(pair, out, motion, register, fit)
        except DataError as error:
            failed[pair.name] = error
        step('checking', done, len(pairs))
    if len(pairs) == 1 and failed:
        raise next(iter(failed.values()))
    if out is not None:
        with whole_file(Path(out, 'alignment.csv')) as file:
            rows = [_row(name, alignment) for name, alignment in alignments.items()]
            write_table(file, [*rows[0]] if rows else ['name'], rows)
    return PairChecks(alignments, failed)


def _check(pair: Pair, out: PathLike | None, motion: str, register: bool, fit: str) -> Alignment:
    """Align one pair, and write its files."""
    image_a, image_b = fit_pair(*(read_image(*source) for source in pair.sources), fit, (pair.path_a, pair.path_b))
    alignment = align(image_a, image_b, motion)
    if out is not None:
        write_image(inside(Path(out, 'overlay'), pair.name, '.png'), overlay(image_a, image_b, alignment))
    if out is not None and register and alignment.verdict != 'unsure':
        moved = image_b if alignment.verdict == 'aligned' else move(image_b, alignment)
        write_image(inside(Path(out, 'registered'), pair.name, '.png'), moved)
    return alignment


def _row(name: str, alignment: Alignment) -> dict[str, str | float]:
    """A line of `alignment.csv`. NaN becomes an empty cell."""
    numbers = {'offset': alignment.offset, 'shift_x': alignment.shift[0], 'shift_y': alignment.shift[1],
               'rotation': alignment.rotation, 'scale': alignment.scale, 'uncertainty': alignment.uncertainty,
               'difference': alignment.difference, 'distinctness': alignment.distinctness}
    for key, (before, after) in (('mutual_information', alignment.mutual_information),
                                 ('local_shift', alignment.residual)):
        numbers |= {f'{key}_before': before, f'{key}_after': after}
    numbers |= {f'matrix_{row}{column}': alignment.matrix[row, column] for row in range(3) for column in range(3)}
    return {'name': name, 'verdict': alignment.verdict, 'confidence': alignment.confidence,
            'measure': alignment.measure, 'motion': alignment.motion,
            'width': alignment.size[1], 'height': alignment.size[0],
            **{key: '' if np.isnan(value) else float(value) for key, value in numbers.items()}}
