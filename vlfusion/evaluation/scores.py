"""Scores of images: computing them, averaging them, and giving them out as a CSV file or a table.

A row holds what is known of one image: its `name`, then one value for each metric. All rows have the same metrics.
"""

import csv
import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from mmengine.logging import print_log
from rich.table import Table
from torch import Tensor

from vlfusion.errors import DataError, listing
from vlfusion.metrics.base import metric
from vlfusion.metrics.sharing import sharing

Row = dict[str, str | float]


def score(fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
          source_b: Float[Tensor, 'batch 1 h w'], metrics: Iterable[str], code: str = '') -> dict[str, Float[Tensor, 'batch']]:
    """One value per image for each metric. Work that several of them need is done once.

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
        return {name: metric(name, code)(fused, source_a, source_b) for name in metrics}


def means(rows: Sequence[Row]) -> dict[str, float]:
    """The mean over the images for each metric. A single NaN makes it NaN, and a warning names the images to blame.

    >>> means([{'name': '001', 'EN': 6.0}, {'name': '002', 'EN': 7.0}])
    {'EN': 6.5}

    Raises:
        DataError: there is no row.
    """
    columns = _columns(rows)
    for metric, values in columns.items():
        undefined = [str(row['name']) for row, value in zip(rows, values, strict=True) if np.isnan(value)]
        if undefined:
            print_log(f'The mean {metric} is NaN, because {metric} is NaN for {len(undefined)} of {len(rows)} images:\n'
                      f'{listing(undefined)}', logger='current', level=logging.WARNING)
    return {metric: values.mean().item() for metric, values in columns.items()}


def summary_table(rows: Sequence[Row]) -> Table:
    """Mean, standard deviation (of the population) and median of each metric; an arrow points to its better side.

    Raises:
        DataError: there is no row.
    """
    table = Table('metric', title=f'{len(rows)} images')
    for statistic in ('mean', 'std', 'median'):
        table.add_column(statistic, justify='right')
    for name, values in _columns(rows).items():
        info = metric(name).info
        arrow = '↑' if info.direction == 'higher' else '↓'
        unit = f' ({info.unit})' if info.unit else ''
        statistics = values.mean(), values.std(), np.median(values)
        table.add_row(f'{name} {arrow}{unit}', *(f'{statistic:.4f}' for statistic in statistics))
    return table


def write_csv(path: str | os.PathLike, rows: Sequence[Row]) -> None:
    """Write one line per image, sorted by name: the name, then the metrics with all their digits.

    Folders are made; a reader never sees half a file.

    Raises:
        DataError: there is no row.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'.{path.name}.{os.getpid()}')
    try:
        with partial.open('w', newline='', encoding='utf-8') as file:
            writer = csv.DictWriter(file, ['name', *_columns(rows)], lineterminator='\n')
            writer.writeheader()
            writer.writerows(sorted(rows, key=lambda row: row['name']))  # csv writes a float as repr does
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_csv(path: str | os.PathLike) -> list[Row]:
    """The rows that `write_csv` wrote."""
    with Path(path).open(newline='', encoding='utf-8') as file:
        return [{key: value if key == 'name' else float(value) for key, value in row.items()}
                for row in csv.DictReader(file)]


def _columns(rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """The values of each metric, in the order of the rows."""
    if not rows:
        raise DataError('There is no image to score.', 'Check the data set and its split.')
    return {metric: np.array([row[metric] for row in rows]) for metric in rows[0] if metric != 'name'}
