"""Scores of images: computing them, averaging them, and giving them out as a CSV file or a table.

A row holds what is known of one image: its `name`, the label of its `protocol` (such as `film.1`), for a control image
which `control` it is, then one value for each column: a metric as it was asked for (`VIF`, `MI:tang`), or one that
compares to a true image (`truth/PSNR`). All rows have the same columns. A value is None, and empty in a file, where its
metric could not be computed.
"""

import logging
import os
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float
from mmengine.logging import print_log
from rich.table import Table
from torch import Tensor

from vlfusion.data.names import composed
from vlfusion.errors import DataError, listing
from vlfusion.evaluation.controls import CONTROLS
from vlfusion.evaluation.undefined import Undefined
from vlfusion.files import whole_file
from vlfusion.guards.cells import read_table, write_table
from vlfusion.imaging.protocol import code_of
from vlfusion.metrics.base import Metric, as_double, metric
from vlfusion.metrics.scoring import DEFAULT_METRICS as DEFAULT_METRICS
from vlfusion.metrics.sharing import sharing

Row = dict[str, str | float | None]
#: The columns that are no metrics, in the order of a file.
WORDS = ('name', 'control', 'protocol')
#: What stands before the name of a metric that compares to a true image.
TRUTH = 'truth/'
#: The same where there are true images.
DEFAULT_TRUTH_METRICS = ('PSNR', 'SSIM')


def score(fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
          source_b: Float[Tensor, 'batch 1 h w'], metrics: Iterable[str],
          code: str = '') -> dict[str, Float[Tensor, ' batch']]:
    """One value per image for each metric, in float64. Work that several of them need is done once.

    Args:
        fused: grey levels in 0..255, float32 or float64.
        source_a: likewise.
        source_b: likewise.
        metrics: names in `FUSION_METRICS`, with a variant if need be: `MI`, `MI:tang`.
        code: whose variant is meant where a name says none; see `vlfusion.metrics.metric`.

    Raises:
        UnknownNameError: no metric, or no variant of it, has that name.
        DataError: the images do not suit a metric.
    """
    with sharing():
        images = [as_double(image) for image in (fused, source_a, source_b)]
        return {name: metric(name, code)(*images) for name in metrics}


def metric_of(column: str, code: str = '') -> Metric:
    """The metric of a row's column.

    >>> metric_of('truth/PSNR').info.over, metric_of('MI', 'film').info.label
    ('truth', 'MI:film')
    """
    name = column.removeprefix(TRUTH)
    return metric(name, code, truth=name != column)


def spelt_out(column: str, code: str = '') -> str:
    """A column with the variant that a protocol's code means: one that names none then means the default.

    >>> spelt_out('MI', 'film'), spelt_out('EN', 'film'), spelt_out('MI:tang', 'film'), spelt_out('truth/PSNR', 'film')
    ('MI:film', 'EN', 'MI:tang', 'truth/PSNR')
    """
    variant = metric_of(column, code).info.variant
    return column.partition(':')[0] + (f':{variant}' if variant else '')


def other_variants(column: str, code: str) -> list[str]:
    """The default and the variants of a metric, each once, without the one that the column means.

    >>> other_variants('SF', 'film')
    ['SF:vifb']
    """
    name = column.partition(':')[0]
    known = metric_of(name).info.variants
    own = spelt_out(column, code)
    seen = [known.get(own.partition(':')[2])]  # None is the default
    others = []
    for variant, what in [('', None), *known.items()]:
        if what not in seen:
            seen.append(what)
            others.append(f'{name}:{variant}' if variant else name)
    return others


def means(rows: Sequence[Row], undefined: Iterable[Undefined] = ()) -> dict[str, float]:
    """The mean over the images for each metric.

    A value that is not finite makes it NaN or infinite, and a warning names the images to blame.

    Args:
        rows: of the images.
        undefined: what is known of the values that are not finite, for the warning.

    >>> means([{'name': '001', 'EN': 6.0}, {'name': '002', 'EN': 7.0}])
    {'EN': 6.5}

    Raises:
        DataError: there is no row.
    """
    found = columns(rows)
    reasons = {(item.name, item.metric): f'{item.value}: {", ".join(item.reasons)}' for item in undefined}
    result = {name: statistics(values)['mean'] for name, values in found.items()}
    for name, values in found.items():
        blamed = [f'{row["name"]}: {reasons.get((row["name"], name), value)}'
                  for row, value in zip(rows, values, strict=True) if not np.isfinite(value)]
        if blamed:
            print_log(f'The mean {name} is {result[name]}, because {name} is not finite for {len(blamed)} of '
                      f'{len(rows)} images:\n{listing(blamed)}', logger='current', level=logging.WARNING)
    return result


def statistics(values: Float[np.ndarray, ' image']) -> dict[str, float]:
    """Mean, standard deviation (of the population) and median; NaN and infinity are not left out."""
    with np.errstate(invalid='ignore'):
        return {'mean': values.mean().item(), 'std': values.std().item(), 'median': np.median(values).item()}


def summary_table(rows: Sequence[Row], undefined: Iterable[Undefined] = ()) -> Table:
    """Mean, standard deviation (of the population) and median of each metric; an arrow points to its better side.

    Further columns count the images whose value is not finite, and those that a metric could not be computed of, where
    there are any.

    Args:
        rows: of the images.
        undefined: what is known of the values that are not there, for the reasons.

    Raises:
        DataError: there is no row.
    """
    found = columns(rows)
    table = Table('metric', title=_title(rows))
    for statistic in ('mean', 'std', 'median'):
        table.add_column(statistic, justify='right')
    lacking = {name: sum(row[name] is None for row in rows) for name in found}
    blamed = {name: _unfinite(values) - lacking[name] for name, values in found.items()}
    if any(blamed.values()):
        table.add_column('not finite', justify='right')
    if any(lacking.values()):
        table.add_column('not scored')
    reasons = {item.metric: f': {", ".join(item.reasons)}' for item in undefined if item.value is None}
    for name in found:
        values = computed(rows, name)
        cells = [_shown(value) for value in statistics(values).values()] if len(values) else [''] * 3
        for count, why in ((blamed, ''), (lacking, reasons.get(name, ''))):
            if any(count.values()):
                cells.append(f'{count[name]} of {len(rows)}{why}' if count[name] else '')
        table.add_row(_heading(name, rows), *cells)
    return table


def not_scored(undefined: Iterable[Undefined], images: int) -> str:
    """One sentence on the metrics that could not be computed; empty where there are none.

    >>> not_scored([Undefined('01', 'MS_SSIM', None, ('too small',))], 5)
    'Not scored: MS_SSIM of 1 of 5 images (too small).'
    """
    counts: dict[str, list[str]] = {}
    for item in undefined:
        if item.value is None:
            counts.setdefault(item.metric, []).append(', '.join(item.reasons))
    parts = [f'{metric} of {"all" if len(why) == images > 1 else f"{len(why)} of"} {images} '
             f'image{"s" if images > 1 else ""} ({why[0]})' for metric, why in counts.items()]
    return f'Not scored: {"; ".join(parts)}.' if parts else ''


def controls_table(rows: Sequence[Row], controls: Sequence[Row]) -> Table:
    """The mean of each metric beside its means for the control images; in brackets, how many values are not finite.

    Raises:
        DataError: there is no row.
    """
    parts = {'fused': rows} | {name: [row for row in controls if row['control'] == name] for name in CONTROLS}
    table = Table('mean of', title=f'{_title(rows)}, beside control images')
    for part in parts:
        table.add_column(part, justify='right')
    for name in columns(rows):
        values = [computed(part, name) for part in parts.values()]
        table.add_row(_heading(name, rows), *(_shown(statistics(value)['mean'])
                                              + f' ({_unfinite(value)})' * bool(_unfinite(value)) if len(value) else ''
                                              for value in values))
    return table


def _title(rows: Sequence[Row]) -> str:
    label = rows[0].get('protocol')
    return f'{len(rows)} image{"s" * (len(rows) > 1)}' + (f', protocol {label}' if label else '')


def _heading(column: str, rows: Sequence[Row]) -> str:
    info = metric_of(column, code_of(str(rows[0].get('protocol', '')))).info
    return f'{column} {"↑" if info.direction == "higher" else "↓"}' + (f' ({info.unit})' if info.unit else '')


def _shown(value: float) -> str:
    return f'{value:.1e}' if 0 < abs(value) < 0.001 else f'{value:.4f}'


def _unfinite(values: Float[np.ndarray, ' image']) -> int:
    return int(np.count_nonzero(~np.isfinite(values)))


def write_csv(path: str | os.PathLike, rows: Sequence[Row]) -> None:
    """Write one line per row, sorted by name: the words, then the metrics with all their digits.

    Folders are made; a reader never sees half a file.

    Raises:
        DataError: there is no row.
    """
    header = [*(word for word in WORDS if rows and word in rows[0]), *columns(rows)]
    with whole_file(path) as file:
        write_table(file, header, sorted(rows, key=lambda row: row['name']))


def read_csv(path: str | os.PathLike) -> list[Row]:
    """The rows that `write_csv` wrote; their names are composed, so that those of several files compare.

    Raises:
        DataError: the file is of another form; the line and the column are named.
    """
    rows = read_table(path, WORDS, 'Give per-image scores, as `vlfusion evaluate --out` writes them.')
    return [row | {'name': composed(row['name'])} for row in rows]


def columns(rows: Sequence[Row]) -> dict[str, Float[np.ndarray, ' image']]:
    """The values of each metric, in the order of the rows; NaN where it could not be computed.

    Raises:
        DataError: there is no row.
    """
    if not rows:
        raise DataError('There is no image to score.', 'Check the data set and its split.')
    return {name: np.array([row[name] for row in rows], float) for name in rows[0] if name not in WORDS}


def computed(rows: Sequence[Row], column: str) -> Float[np.ndarray, ' image']:
    """The values of a metric without the images that it could not be computed of."""
    return np.array([row[column] for row in rows if row[column] is not None], float)
