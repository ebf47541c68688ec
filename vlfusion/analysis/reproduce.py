"""Does a folder of fused images have the scores that a paper prints? If not, which convention would explain the gap?

A folder is scored under the protocol of the paper. A score is within tolerance where it departs from the printed number
by no more than half a unit of the last digit, for rounding, plus what the authors' own second run departs from their
first. The others are scored again under each convention by which fusion papers are known to differ, one at a time.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from rich.table import Table
from torch import Tensor

from vlfusion import __version__
from vlfusion.analysis.published import PublishedRow, config_of
from vlfusion.config import load_config
from vlfusion.data.from_config import pairs_of
from vlfusion.data.names import composed
from vlfusion.data.pairs import MOST, Pair, as_pattern, find_files, read_images
from vlfusion.data.patterns import stem_of
from vlfusion.errors import ConfigError, DataError, did_you_mean, listing
from vlfusion.files import write_json
from vlfusion.imaging.images import LUMINANCE_RULES
from vlfusion.imaging.protocol import PROTOCOLS, Protocol, get_protocol, planes_of
from vlfusion.imaging.reading.rule import AS_STORED, Reading, readings_of
from vlfusion.metrics.base import metric
from vlfusion.metrics.columns import other_variants
from vlfusion.metrics.scoring import score_planes

Folder = str | os.PathLike
#: For each name the fused image, source A and source B: each a file and the rule by which it is read.
Files = Mapping[str, tuple[tuple[Path, Reading], ...]]
Planes = Float[Tensor, 'channel 1 h w']
Progress = Callable[[int, int], None]

#: By how much two runs of FILM's authors depart at most: what the README prints for their released weights, beside the
#: tables of the paper, over seven data sets (the eighth, MSRS, departs by more, and has both rows here).
RERUN = {'EN': 0.01, 'SD': 0.05, 'SF': 0.04, 'AG': 0.01, 'VIF': 0.01}
STRETCHED = 'files min-max stretched'
CHANNELS = 'colour channels averaged'
SWAPPED = 'sources swapped'
REMEDY = ('A fused image and its sources share one name, letter case included. Give --names for a part of the set, or '
          "say where the name is in a file's name, as in 'fused/{name}_out.*'.")


@dataclass(frozen=True)
class Convention:
    """One way in which papers differ, and the mean score that it gives.

    Attributes:
        name: a metric's variant such as `SSIM:vifb`, or how the files are read, such as `files min-max stretched`.
        value: the mean over the pairs.
    """

    name: str
    value: float


@dataclass(frozen=True)
class Compared:
    """One metric of one published row beside what was measured.

    Attributes:
        metric: its name in the row.
        printed: the published number, with its digits.
        measured: the mean over the pairs.
        tolerance: by how much they may differ.
        conventions: what other conventions give, the nearest to the published number first; none without a gap.
    """

    metric: str
    printed: str
    measured: float
    tolerance: float
    conventions: tuple[Convention, ...] = ()

    @property
    def difference(self) -> float:
        return self.measured - float(self.printed)

    @property
    def within(self) -> bool:
        return self._close(self.measured)

    @property
    def explaining(self) -> list[Convention]:
        """The conventions that bring it within tolerance."""
        return [one for one in self.conventions if self._close(one.value)]

    @property
    def nearest(self) -> Convention | None:
        """The convention that comes nearest, if it closes a tenth of the gap: less is chance."""
        for first in self.conventions[:1]:
            left = abs(first.value - float(self.printed))
            if np.isfinite(left) and not left > 0.9 * abs(self.difference):  # also where nothing else is finite
                return first
        return None

    @property
    def explanation(self) -> str:
        """Explanation of a gap, in words; empty where there is none."""
        if self.within:
            return ''
        if self.explaining:
            return 'explained by ' + ' or '.join(f'{one.name} ({one.value:.4f})' for one in self.explaining)
        if self.nearest:
            return f'nearest: {self.nearest.name} ({self.nearest.value:.4f})'
        return 'no other convention comes nearer'

    def _close(self, value: float) -> bool:
        return abs(value - float(self.printed)) <= self.tolerance + 1e-9  # of NaN: no


@dataclass(frozen=True)
class Reproduction:
    """Result of a comparison with published rows.

    Attributes:
        protocol: under which the files were scored.
        names: of the pairs.
        rows: each published row with its metrics.
    """

    protocol: Protocol
    names: list[str]
    rows: list[tuple[PublishedRow, list[Compared]]]

    def tables(self) -> list[Table]:
        """One table for each published row: published, measured, difference, tolerance, verdict."""
        return [self._table(row, compared) for row, compared in self.rows]

    def remarks(self) -> list[str]:
        """On how many pairs this rests, and what each way of reading the files would explain."""
        found = list(dict.fromkeys(coverage(row, len(self.names)) for row, _ in self.rows))
        for row, compared in self.rows:
            gaps = sum(not one.within for one in compared)
            explained: dict[str, list[str]] = {}
            for one in compared:
                for convention in one.explaining:
                    explained.setdefault(convention.name, []).append(one.metric)
            found += [f'{row.paper}, {row.table}: {name} would explain {", ".join(metrics)}, {len(metrics)} of {gaps} '
                      'gaps.' for name, metrics in explained.items() if len(metrics) > 1]
        return found

    def record(self) -> dict[str, Any]:
        """Everything, as JSON has it."""
        return {
            'schema': 1, 'created': datetime.now(UTC).isoformat(timespec='seconds'), 'vlfusion': __version__,
            'protocol': self.protocol.label, 'pairs': len(self.names), 'names': self.names,
            'rows': [{'paper': row.paper, 'table': row.table, 'dataset': row.dataset, 'method': row.method,
                      'pairs': row.pairs, 'metrics': [_facts(one) for one in compared]}
                     for row, compared in self.rows]}

    def write(self, path: str | os.PathLike) -> None:
        """Write the record as JSON; folders are made."""
        write_json(path, self.record())

    def _table(self, row: PublishedRow, compared: Sequence[Compared]) -> Table:
        table = Table('metric', title=f'{row.method} on {row.dataset}: {row.paper}, {row.table}; protocol '
                                      f'{self.protocol.label}')
        for column in ('published', 'measured', 'difference', 'tolerance'):
            table.add_column(column, justify='right')
        table.add_column('verdict')
        for one in compared:
            verdict = 'within' if one.within else f'outside; {one.explanation}'
            table.add_row(one.metric, one.printed, f'{one.measured:.4f}', f'{one.difference:+.4f}',
                          f'{one.tolerance:g}', verdict)
        return table


def reproduce(files: Files, rows: Sequence[PublishedRow], protocol: str,
              progress: Progress | None = None) -> Reproduction:
    """Score the files, compare them with published rows, and look for what explains each gap.

    Args:
        files: as `fused_files` or `fused_of_pairs` finds them.
        rows: of one method on one data set, as `vlfusion.analysis.published.published` gives them. One that prints the
            same as an earlier one, within what two runs of the authors depart by, is left out.
        protocol: a name in `vlfusion.imaging.protocol.PROTOCOLS`.
        progress: called after each pair with the number of pairs done and of all; twice over where there are gaps.

    Raises:
        DataError: lists every file that cannot be read, is of another size or does not suit a metric.
        ConfigError: there is no such protocol.
        UnknownNameError: a row has a metric that is not registered.
    """
    chosen = get_protocol(protocol)
    rows = _distinct(rows)
    names = list(dict.fromkeys(name for row in rows for name in row.printed))
    for name in names:
        metric(name, chosen.code)  # an unknown name comes to light before any image is read
    values = _each(files, lambda _, images: _scores(planes_of(images, chosen), names, chosen.code), progress)
    measured = _means(values)
    found = [(row, [Compared(name, row.printed[name], measured[name], _tolerance(row, name)) for name in row.printed])
             for row in rows]
    if gaps := list(dict.fromkeys(one.metric for _, compared in found for one in compared if not one.within)):
        by_name = dict(zip(files, values, strict=True))
        others = _means(_each(files, lambda name, images: _conventions(images, chosen, gaps, by_name[name]), progress))
        found = [(row, [one if one.within else _explained(one, others) for one in compared])
                 for row, compared in found]
    return Reproduction(chosen, list(files), found)


def compare_folder(rows: Sequence[PublishedRow], fused: Folder, *, source_a: Folder | None = None,
                   source_b: Folder | None = None, reading: Mapping[str, Any] | None = None,
                   data_root: str | None = None, names: Sequence[str] | None = None, protocol: str | None = None,
                   progress: Progress | None = None) -> Reproduction:
    """Score a folder as a paper does, and compare with the numbers that it prints.

        rows = published('film', 'Lytro', 'film')
        print(*compare_folder(rows, 'fused/film').remarks(), sep='\\n')

    Args:
        rows: of one paper and data set, as `vlfusion.analysis.published.published` returns them.
        fused: the folder of fused images, or a pattern such as `out/{name}_fused.*`.
        source_a, source_b: folders or patterns of the sources; by default the test pairs of the data set's config.
        reading: rules by which the sources are read, such as `range_a` and `page_b`; a config has its own.
        data_root: where the config's data lie.
        names: use these pairs only.
        protocol: how to score; by default the protocol of the paper's name.
        progress: called with the number of images done and of all images.

    Raises:
        ConfigError: the paper has no protocol of its name, one source is missing, or no config has the data set.
        DataError: an image is missing, damaged, or lacks its partner.
    """
    protocol = protocol or rows[0].paper
    if protocol == rows[0].paper and protocol not in PROTOCOLS:
        raise ConfigError(f'The paper {protocol!r} has no protocol of its name.', 'Say how to score with --protocol.')
    if (source_a is None) != (source_b is None):
        raise ConfigError('Only one of --source-a and --source-b is given.', 'Give both, or neither.')
    rules = readings_of(reading or {})
    if source_a is not None:
        if data_root:
            raise ConfigError('--data-root is of no use beside --source-a and --source-b.', 'Leave it out.')
        return reproduce(fused_files(fused, source_a, source_b, names, rules), rows, protocol, progress)
    if any(map(str, rules)):
        raise ConfigError('How sources are read is said of --source-a and --source-b, which are not given.',
                          'Name them; of a data set its config says it, with range_a and the like.')
    config = load_config(config_of(rows[0].dataset), {'data_root': data_root} if data_root else None)
    return reproduce(fused_of_pairs(fused, pairs_of(config, ['test']), names), rows, protocol, progress)


def coverage(row: PublishedRow, pairs: int) -> str:
    """Sentence on the number of pairs that were measured beside the paper's, and what follows.

    >>> coverage(PublishedRow('film', 'Table 1', 'M3FD', 'FILM', {'EN': '7.09'}), 300)
    '300 pairs were measured; how many film has on M3FD is not stated, and other pairs would give a gap.'
    """
    these = f'{pairs} pair{"s were" if pairs > 1 else " was"} measured'
    if row.pairs is None:
        return f'{these}; how many {row.paper} has on {row.dataset} is not stated, and other pairs would give a gap.'
    if pairs == row.pairs:
        return f'{these}, as many as {row.paper} has on {row.dataset}.'
    which = 'a part of the set' if pairs < row.pairs else 'other pairs'
    return (f'{these}, but {row.paper} has {row.pairs} on {row.dataset}. On {which} a gap is expected: it says nothing '
            'against the method, and a convention may explain it by chance.')


def fused_files(fused: Folder, source_a: Folder, source_b: Folder, names: Sequence[str] | None = None,
                readings: Sequence[Reading] = (AS_STORED, AS_STORED)) -> Files:
    """The files of each fused image and its sources, where they lie in three folders.

    Args:
        fused: the folder, or a pattern such as `out/{name}_fused.*`; see `vlfusion.data.pairs.find_pairs`.
        source_a: likewise, of source A.
        source_b: likewise, of source B.
        names: use these only.
        readings: the rules by which source A and source B are read.

    Raises:
        DataError: lists every image that lacks a partner.
    """
    folders = {'the fused folder': fused, 'source A': source_a, 'source B': source_b}
    rules = dict(zip(folders, (AS_STORED, *readings), strict=True))
    found = find_files('.', {what: as_pattern(folder) for what, folder in folders.items()}, names, REMEDY,
                       ranged=[what for what, rule in rules.items() if rule.stretch != 'full'])
    return {name: tuple(zip(paths, rules.values(), strict=True)) for name, paths in found.items()}


def fused_of_pairs(fused: Folder, pairs: Iterable[Pair], names: Sequence[str] | None = None) -> Files:
    """The files of each fused image and its sources, for the pairs of a data set.

    Args:
        fused: as for `fused_files`; the results of a subset lie in a folder of its name: `fused/PET-MRI/25015.png`.
        pairs: of the data set.
        names: use these only, such as `PET-MRI/25015`.

    Raises:
        DataError: lists every pair without a fused image, and without `names` also the reverse.
    """
    known = {composed(pair.name): pair for pair in pairs}
    wanted = list(known) if names is None else [composed(stem_of(name)) for name in names]
    if unknown := [name for name in wanted if name not in known]:
        raise DataError(f'The data set has no pair {", ".join(unknown)}.', did_you_mean(unknown[0], known))
    found: dict[str, Path] = {}
    for subset in sorted({str(PurePosixPath(name).parent) for name in wanted}):
        own = find_files('.', {'the fused folder': as_pattern(fused, '' if subset == '.' else subset)}, remedy=REMEDY)
        found |= {composed(str(PurePosixPath(subset, name))): path for name, (path,) in own.items()}
    problems = [f'{name} has no image in the fused folder ({fused})' for name in wanted if name not in found]
    if names is None:
        problems += [f'{path} belongs to no pair of the data set' for name, path in found.items() if name not in known]
    if problems:
        raise DataError(f'The fused folder does not fit the data set:\n{listing(problems, MOST)}', REMEDY)
    return {name: ((found[name], AS_STORED), *known[name].sources) for name in sorted(wanted)}


def _each(files: Files, measure: Callable[[str, list[np.ndarray]], dict[str, float]],
          progress: Progress | None) -> list[dict[str, float]]:
    """Measure the images of each name, which are read here, once."""
    found, problems = [], []
    if progress:
        progress(0, len(files))
    for done, (name, sources) in enumerate(files.items(), 1):
        images, unusable = read_images(name, *zip(*sources, strict=True))
        problems += unusable
        if not problems:
            try:
                found.append(measure(name, images))
            except DataError as error:
                problems.append(f'{name}: {error.problem}')
        if progress:
            progress(done, len(files))
    if problems:
        raise DataError(f'Nothing was compared, because of these problems:\n{listing(problems, MOST)}',
                        'Fix or replace the files that are listed.')
    return found


def _means(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([one[key] for one in values])) for key in values[0]}


def _conventions(images: Sequence[np.ndarray], protocol: Protocol, names: Sequence[str],
                 measured: Mapping[str, float]) -> dict[str, float]:
    """The scores of one fused image under each other convention, by `metric|convention`.

    A way of reading that does not concern these files (they are grey, or use the whole range) leaves a score as it was
    measured, so that each mean is over all pairs.
    """
    as_read = planes_of(images, protocol)
    fused, source_a, source_b = as_read
    variants = {label: name for name in names for label in other_variants(name, protocol.code)}
    found = {f'{variants[label]}|{label if ":" in label else f"{label}, the default"}': value
             for label, value in _scores(as_read, variants, '').items()}
    for reading, planes in _readings(images, as_read, protocol).items():
        again = measured if planes is None else _scores(planes, names, protocol.code)
        found |= {f'{name}|{reading}': again[name] for name in names}
    both = [name for name in names if metric(name, protocol.code).info.over in ('weighted', 'joint')]
    swapped = _scores((fused, source_b, source_a), both, protocol.code)
    return found | {f'{name}|{SWAPPED}': value for name, value in swapped.items()}


def _readings(images: Sequence[np.ndarray], as_read: Sequence[Planes],
              protocol: Protocol) -> dict[str, Sequence[Planes] | None]:
    """The images read in other ways; None for one that would change nothing."""
    fused, *sources = as_read
    colour = any(image.ndim == 3 for image in images)
    found: dict[str, Sequence[Planes] | None] = {STRETCHED: (_stretched(fused, protocol.rounding), *sources)}
    for rule in LUMINANCE_RULES:
        if rule != protocol.luminance:
            found[f'luminance {rule}'] = planes_of(images, replace(protocol, luminance=rule)) if colour else None
    if protocol.colour == 'luminance':
        channels = replace(protocol, colour='channels')
        found[CHANNELS] = planes_of(images, channels) if images[0].ndim == 3 else None
    return found


def _stretched(fused: Planes, rounding: str) -> Planes:
    """The whole range 0..255 for each plane, in whole levels; one that has it already is unchanged, to the bit."""
    low, high = fused.amin((1, 2, 3), keepdim=True), fused.amax((1, 2, 3), keepdim=True)
    levels = torch.where(high > low, (fused - low) * 255 / (high - low), fused)
    return {'round': torch.round, 'truncate': torch.floor, 'half-down': lambda x: (x - 0.5).ceil()}[rounding](levels)


def _scores(planes: Sequence[Planes], names: Iterable[str], code: str) -> dict[str, float]:
    """The mean over the planes of each metric."""
    return score_planes('the image', planes, names, code=code)[0]


def _explained(one: Compared, means: Mapping[str, float]) -> Compared:
    """With what each convention gives, but those that change nothing."""
    found = [Convention(label, value) for key, value in means.items() for name, _, label in [key.partition('|')]
             if name == one.metric and not np.isclose(value, one.measured, rtol=0, atol=1e-6, equal_nan=True)]
    return replace(one, conventions=tuple(sorted(found, key=lambda found: _distance(found.value, one))))


def _distance(value: float, one: Compared) -> float:
    """From the published number; equal ones must not be told apart by the order of sums."""
    return round(abs(value - float(one.printed)), 6) if np.isfinite(value) else np.inf


def _tolerance(row: PublishedRow, name: str) -> float:
    return row.rounding(name) + RERUN.get(name, 0)


def _distinct(rows: Sequence[PublishedRow]) -> list[PublishedRow]:
    kept: list[PublishedRow] = []
    for row in rows:
        if not any(row.printed.keys() == one.printed.keys() and all(
                abs(row.value(name) - one.value(name)) <= RERUN.get(name, 0) + 1e-9 for name in row.printed)
                for one in kept):
            kept.append(row)
    return kept


def _facts(one: Compared) -> dict[str, Any]:
    return {'metric': one.metric, 'published': float(one.printed), 'measured': one.measured,
            'difference': one.difference, 'tolerance': one.tolerance, 'within': one.within,
            'conventions': [{'name': other.name, 'value': other.value, 'within': other in one.explaining}
                            for other in one.conventions]}
