"""Comparison of a folder of fused images with the scores of a paper, and conventions that may explain gaps.

A folder is scored under the protocol of the paper. The tolerance is half a unit of the last printed digit, for
rounding, plus the difference between two runs of the authors. Scores outside the tolerance are computed again under
each convention in which fusion papers differ, one at a time.
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
#: The fused image, source A and source B by name: each a file and its reading rule.
Files = Mapping[str, tuple[tuple[Path, Reading], ...]]
Planes = Float[Tensor, 'channel 1 h w']
Progress = Callable[[int, int], None]

#: Largest difference between two runs of FILM's authors: the README's numbers for released weights against the paper's
#: tables, on seven data sets. (The eighth, MSRS, differs by more; `published.csv` has both of its rows.)
RERUN = {'EN': 0.01, 'SD': 0.05, 'SF': 0.04, 'AG': 0.01, 'VIF': 0.01}
STRETCHED = 'files min-max stretched'
CHANNELS = 'colour channels averaged'
SWAPPED = 'sources swapped'
REMEDY = ('A fused image and its sources must have the same name, letter case included. Give --names for a part of the '
          "set, or a pattern that says where the name is, as in 'fused/{name}_out.*'.")


@dataclass(frozen=True)
class Convention:
    """A convention in which papers differ, and its mean score.

    Attributes:
        name: a metric's variant such as `SSIM:vifb`, or a way to read files, such as `files min-max stretched`.
        value: mean over the pairs.
    """

    name: str
    value: float


@dataclass(frozen=True)
class Compared:
    """A published number and the measured score.

    Attributes:
        metric: name of the metric in the row.
        printed: published number, with its digits.
        measured: mean over the pairs.
        tolerance: largest difference that is allowed.
        conventions: scores under other conventions, the nearest to the published number first; empty if there is no
            gap.
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
        """The conventions whose score is within the tolerance."""
        return [convention for convention in self.conventions if self._close(convention.value)]

    @property
    def nearest(self) -> Convention | None:
        """The convention with the nearest score, if it closes at least a tenth of the gap; less is chance."""
        for first in self.conventions[:1]:
            left = abs(first.value - float(self.printed))
            if np.isfinite(left) and not left > 0.9 * abs(self.difference):  # also if the measured score is not finite
                return first
        return None

    @property
    def explanation(self) -> str:
        """Explanation of the gap in words; empty if there is no gap."""
        if self.within:
            return ''
        if self.explaining:
            return 'explained by ' + ' or '.join(f'{convention.name} ({convention.value:.4f})'
                                                 for convention in self.explaining)
        if self.nearest:
            return f'nearest: {self.nearest.name} ({self.nearest.value:.4f})'
        return 'no other convention comes nearer'

    def _close(self, value: float) -> bool:
        return abs(value - float(self.printed)) <= self.tolerance + 1e-9  # false for NaN


@dataclass(frozen=True)
class Reproduction:
    """Result of a comparison with published rows.

    Attributes:
        protocol: protocol under which the files were scored.
        names: names of the pairs.
        rows: published rows with their metrics.
    """

    protocol: Protocol
    names: list[str]
    rows: list[tuple[PublishedRow, list[Compared]]]

    def tables(self) -> list[Table]:
        """A table for each published row: published, measured, difference, tolerance, verdict."""
        return [self._table(row, compared) for row, compared in self.rows]

    def remarks(self) -> list[str]:
        """Sentences on the number of pairs, and on conventions that would explain several gaps."""
        remarks = list(dict.fromkeys(coverage(row, len(self.names)) for row, _ in self.rows))
        for row, compared in self.rows:
            gaps = sum(not number.within for number in compared)
            explained: dict[str, list[str]] = {}
            for number in compared:
                for convention in number.explaining:
                    explained.setdefault(convention.name, []).append(number.metric)
            remarks += [f'{row.paper}, {row.table}: {name} would explain {", ".join(metrics)}, {len(metrics)} of '
                        f'{gaps} gaps.' for name, metrics in explained.items() if len(metrics) > 1]
        return remarks

    def record(self) -> dict[str, Any]:
        """All results, as JSON data."""
        return {
            'schema': 1, 'created': datetime.now(UTC).isoformat(timespec='seconds'), 'vlfusion': __version__,
            'protocol': self.protocol.label, 'pairs': len(self.names), 'names': self.names,
            'rows': [{'paper': row.paper, 'table': row.table, 'dataset': row.dataset, 'method': row.method,
                      'pairs': row.pairs, 'metrics': [_facts(number) for number in compared]}
                     for row, compared in self.rows]}

    def write(self, path: str | os.PathLike) -> None:
        """Write the record as JSON; missing folders are made."""
        write_json(path, self.record())

    def _table(self, row: PublishedRow, compared: Sequence[Compared]) -> Table:
        table = Table('metric', title=f'{row.method} on {row.dataset}: {row.paper}, {row.table}; protocol '
                                      f'{self.protocol.label}')
        for column in ('published', 'measured', 'difference', 'tolerance'):
            table.add_column(column, justify='right')
        table.add_column('verdict')
        for number in compared:
            verdict = 'within' if number.within else f'outside; {number.explanation}'
            table.add_row(number.metric, number.printed, f'{number.measured:.4f}', f'{number.difference:+.4f}',
                          f'{number.tolerance:g}', verdict)
        return table


def reproduce(files: Files, rows: Sequence[PublishedRow], protocol: str,
              progress: Progress | None = None) -> Reproduction:
    """Score the files, compare the scores with published rows, and look for conventions that explain gaps.

    Args:
        files: files that `fused_files` or `fused_of_pairs` found.
        rows: rows of a method on a data set, from `vlfusion.analysis.published.published`. A row is left out if its
            numbers differ from an earlier row by no more than two runs of the authors do.
        protocol: a name in `vlfusion.imaging.protocol.PROTOCOLS`.
        progress: called after each pair with the number of pairs done and of all pairs; if there are gaps, all pairs
            are counted a second time.

    Raises:
        DataError: lists every file that cannot be read, has another size or is not supported by a metric.
        ConfigError: the protocol is unknown.
        UnknownNameError: a row has a metric that is not registered.
    """
    chosen = get_protocol(protocol)
    rows = _distinct(rows)
    names = list(dict.fromkeys(name for row in rows for name in row.printed))
    for name in names:
        metric(name, chosen.code)  # unknown names are refused before any image is read
    values = _each(files, lambda _, images: _scores(planes_of(images, chosen), names, chosen.code), progress)
    measured = _means(values)
    found = [(row, [Compared(name, row.printed[name], measured[name], _tolerance(row, name)) for name in row.printed])
             for row in rows]
    if gaps := list(dict.fromkeys(number.metric for _, compared in found for number in compared if not number.within)):
        by_name = dict(zip(files, values, strict=True))
        others = _means(_each(files, lambda name, images: _conventions(images, chosen, gaps, by_name[name]), progress))
        found = [(row, [number if number.within else _explained(number, others) for number in compared])
                 for row, compared in found]
    return Reproduction(chosen, list(files), found)


def compare_folder(rows: Sequence[PublishedRow], fused: Folder, *, source_a: Folder | None = None,
                   source_b: Folder | None = None, reading: Mapping[str, Any] | None = None,
                   data_root: str | None = None, names: Sequence[str] | None = None, protocol: str | None = None,
                   progress: Progress | None = None) -> Reproduction:
    """Score a folder as a paper does, and compare the scores with its numbers.

        rows = published('film', 'Lytro', 'film')
        print(*compare_folder(rows, 'fused/film').remarks(), sep='\\n')

    Args:
        rows: rows of one paper and data set, from `vlfusion.analysis.published.published`.
        fused: folder of fused images, or a pattern such as `out/{name}_fused.*`.
        source_a, source_b: folders or patterns of the sources; by default the test pairs of the data set's config.
        reading: rules by which the sources are read, such as `range_a` and `page_b`; a config has its own rules.
        data_root: folder of the config's data.
        names: names of the only pairs to use.
        protocol: protocol of the scores; by default the protocol named like the paper.
        progress: called with the number of images done and of all images.

    Raises:
        ConfigError: no protocol is named like the paper, one source is missing, or no config has the data set.
        DataError: an image is missing, damaged, or lacks its partner.
    """
    protocol = protocol or rows[0].paper
    if protocol == rows[0].paper and protocol not in PROTOCOLS:
        raise ConfigError(f'No protocol is named like the paper {protocol!r}.', 'Choose one with --protocol.')
    if (source_a is None) != (source_b is None):
        raise ConfigError('Only one of --source-a and --source-b is given.', 'Give both, or neither.')
    rules = readings_of(reading or {})
    if source_a is not None:
        if data_root:
            raise ConfigError('--data-root has no effect with --source-a and --source-b.', 'Leave --data-root out.')
        return reproduce(fused_files(fused, source_a, source_b, names, rules), rows, protocol, progress)
    if any(map(str, rules)):
        raise ConfigError('Reading rules are for --source-a and --source-b, which are not given.',
                          'Give both. The rules of a data set are in its config: range_a and the like.')
    config = load_config(config_of(rows[0].dataset), {'data_root': data_root} if data_root else None)
    return reproduce(fused_of_pairs(fused, pairs_of(config, ['test']), names), rows, protocol, progress)


def coverage(row: PublishedRow, pairs: int) -> str:
    """A sentence that compares the number of measured pairs with the paper's.

    >>> coverage(PublishedRow('film', 'Table 1', 'M3FD', 'FILM', {'EN': '7.09'}), 300)
    '300 pairs were measured; how many film has on M3FD is not stated, and other pairs would give a gap.'
    """
    these = f'{pairs} pair{"s were" if pairs > 1 else " was"} measured'
    if row.pairs is None:
        return f'{these}; how many {row.paper} has on {row.dataset} is not stated, and other pairs would give a gap.'
    if pairs == row.pairs:
        return f'{these}, as many as {row.paper} has on {row.dataset}.'
    which = 'a part of the set' if pairs < row.pairs else 'other pairs'
    return (f'{these}, but {row.paper} has {row.pairs} on {row.dataset}. On {which} a gap is expected. It does not '
            'count against the method, and a convention may explain it by chance.')


def fused_files(fused: Folder, source_a: Folder, source_b: Folder, names: Sequence[str] | None = None,
                readings: Sequence[Reading] = (AS_STORED, AS_STORED)) -> Files:
    """Find the files of fused images and their sources in three folders.

    Args:
        fused: folder, or a pattern such as `out/{name}_fused.*`; see `vlfusion.data.pairs.find_pairs`.
        source_a, source_b: folders or patterns of the sources.
        names: names of the only images to use.
        readings: rules by which source A and source B are read.

    Raises:
        DataError: lists every image that lacks a partner.
    """
    folders = {'the fused folder': fused, 'source A': source_a, 'source B': source_b}
    rules = dict(zip(folders, (AS_STORED, *readings), strict=True))
    files = find_files('.', {what: as_pattern(folder) for what, folder in folders.items()}, names, REMEDY,
                       ranged=[what for what, rule in rules.items() if rule.stretch != 'full'])
    return {name: tuple(zip(paths, rules.values(), strict=True)) for name, paths in files.items()}


def fused_of_pairs(fused: Folder, pairs: Iterable[Pair], names: Sequence[str] | None = None) -> Files:
    """Find the files of fused images and their sources, for the pairs of a data set.

    Args:
        fused: as for `fused_files`; the results of a subset are in a folder of its name: `fused/PET-MRI/25015.png`.
        pairs: pairs of the data set.
        names: names of the only pairs to use, such as `PET-MRI/25015`.

    Raises:
        DataError: lists every pair without a fused image, and without `names` also the reverse.
    """
    by_name = {composed(pair.name): pair for pair in pairs}
    chosen = list(by_name) if names is None else [composed(stem_of(name)) for name in names]
    if unknown := [name for name in chosen if name not in by_name]:
        raise DataError(f'The data set has no pair {", ".join(unknown)}.', did_you_mean(unknown[0], by_name))
    images: dict[str, Path] = {}
    for subset in sorted({str(PurePosixPath(name).parent) for name in chosen}):
        own = find_files('.', {'the fused folder': as_pattern(fused, '' if subset == '.' else subset)}, remedy=REMEDY)
        images |= {composed(str(PurePosixPath(subset, name))): path for name, (path,) in own.items()}
    problems = [f'{name} has no image in the fused folder ({fused})' for name in chosen if name not in images]
    if names is None:
        problems += [f'{path} belongs to no pair of the data set'
                     for name, path in images.items() if name not in by_name]
    if problems:
        raise DataError(f'The fused folder does not fit the data set:\n{listing(problems, MOST)}', REMEDY)
    return {name: ((images[name], AS_STORED), *by_name[name].sources) for name in sorted(chosen)}


def _each(files: Files, measure: Callable[[str, list[np.ndarray]], dict[str, float]],
          progress: Progress | None) -> list[dict[str, float]]:
    """Read the images of each name once, and measure them."""
    results, problems = [], []
    if progress:
        progress(0, len(files))
    for done, (name, sources) in enumerate(files.items(), 1):
        images, unusable = read_images(name, *zip(*sources, strict=True))
        problems += unusable
        if not problems:
            try:
                results.append(measure(name, images))
            except DataError as error:
                problems.append(f'{name}: {error.problem}')
        if progress:
            progress(done, len(files))
    if problems:
        raise DataError(f'Nothing was compared, because of these problems:\n{listing(problems, MOST)}',
                        'Fix or replace the files that are listed.')
    return results


def _means(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([scores[key] for scores in values])) for key in values[0]}


def _conventions(images: Sequence[np.ndarray], protocol: Protocol, names: Sequence[str],
                 measured: Mapping[str, float]) -> dict[str, float]:
    """The scores of a fused image under each other convention, by `metric|convention`.

    A way of reading that does not change the files (they are grey, or use the whole range) keeps the measured score, so
    that each mean is over all pairs.
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
    """The images read in other ways; None for a way that changes nothing."""
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
    """Stretch each plane to 0..255, in whole levels; a plane that spans this range is unchanged, bit for bit."""
    low, high = fused.amin((1, 2, 3), keepdim=True), fused.amax((1, 2, 3), keepdim=True)
    levels = torch.where(high > low, (fused - low) * 255 / (high - low), fused)
    return {'round': torch.round, 'truncate': torch.floor, 'half-down': lambda x: (x - 0.5).ceil()}[rounding](levels)


def _scores(planes: Sequence[Planes], names: Iterable[str], code: str) -> dict[str, float]:
    """The mean over the planes of each metric."""
    images = dict(zip(('fused', 'source_a', 'source_b'), planes, strict=True))
    return score_planes('the image', images, names, code=code)[0]


def _explained(number: Compared, means: Mapping[str, float]) -> Compared:
    """Add the scores of the conventions that change the score, the nearest to the published number first."""
    conventions = [
        Convention(label, value) for key, value in means.items() for name, _, label in [key.partition('|')]
        if name == number.metric and not np.isclose(value, number.measured, rtol=0, atol=1e-6, equal_nan=True)]
    return replace(number, conventions=tuple(sorted(conventions, key=lambda other: _distance(other.value, number))))


def _distance(value: float, number: Compared) -> float:
    """Distance from the published number, rounded so that rounding errors do not order equal scores."""
    return round(abs(value - float(number.printed)), 6) if np.isfinite(value) else np.inf


def _tolerance(row: PublishedRow, name: str) -> float:
    return row.rounding(name) + RERUN.get(name, 0)


def _distinct(rows: Sequence[PublishedRow]) -> list[PublishedRow]:
    kept: list[PublishedRow] = []
    for row in rows:
        if not any(row.printed.keys() == earlier.printed.keys() and all(
                abs(row.value(name) - earlier.value(name)) <= RERUN.get(name, 0) + 1e-9 for name in row.printed)
                for earlier in kept):
            kept.append(row)
    return kept


def _facts(number: Compared) -> dict[str, Any]:
    return {'metric': number.metric, 'published': float(number.printed), 'measured': number.measured,
            'difference': number.difference, 'tolerance': number.tolerance, 'within': number.within,
            'conventions': [{'name': other.name, 'value': other.value, 'within': other in number.explaining}
                            for other in number.conventions]}
