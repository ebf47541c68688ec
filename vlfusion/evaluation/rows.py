"""Rows of scores, and the CSV file that contains them.

A row has the `name` of an image, the label of the `protocol` (such as `film.1`), the name of the `control` for a
control image, and a value for each metric by its full name (`EN`, `MI:film`, `truth/PSNR`). All rows have the same
columns. A value is None (empty in a file) if its metric could not be computed.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from vlfusion.data.names import composed
from vlfusion.errors import DataError, UnknownNameError
from vlfusion.files import whole_file
from vlfusion.guards.cells import read_table, write_table
from vlfusion.imaging.protocol import code_of
from vlfusion.metrics.columns import full_name

Row = dict[str, str | float | None]
#: Columns other than metrics, in the order of a file.
WORDS = ('name', 'control', 'protocol')


def columns(rows: Sequence[Row]) -> dict[str, Float[np.ndarray, ' image']]:
    """Values of each metric, in the order of the rows; NaN if it could not be computed.

    Raises:
        DataError: there is no row.
    """
    if not rows:
        raise DataError('There is no image to score.', 'Check the data set and its split.')
    return {name: np.array([row[name] for row in rows], float) for name in rows[0] if name not in WORDS}


def computed(rows: Sequence[Row], column: str) -> Float[np.ndarray, ' image']:
    """Values of a metric, without images for which it could not be computed."""
    return np.array([row[column] for row in rows if row[column] is not None], float)


def write_csv(path: str | os.PathLike, rows: Sequence[Row]) -> None:
    """Write a line per row, sorted by name: the columns of `WORDS`, then the metrics with all their digits.

    Missing folders are made. A reader never sees half a file.

    Raises:
        DataError: there is no row.
    """
    header = [*(word for word in WORDS if rows and word in rows[0]), *columns(rows)]
    with whole_file(path) as file:
        write_table(file, header, sorted(rows, key=lambda row: row['name']))


def read_csv(path: str | os.PathLike) -> list[Row]:
    """Read the rows that `write_csv` wrote. Names are in Unicode's composed form, so that names of files are equal.

    Earlier versions wrote `MI` instead of `MI:film`. In such files, the protocol of the row, or of the record beside
    the file, determines the variant.

    Raises:
        DataError: the file has another form; the line and the column are named.
    """
    rows = read_table(path, WORDS, 'Give per-image scores, as `vlfusion evaluate --out` writes them.')
    if not rows:
        return []
    code = code_of(str(rows[0].get('protocol') or _recorded_protocol(path)))
    names = {name: name if name in WORDS else _known_name(name, code) for name in rows[0]}
    if len({*names.values()}) < len(names):
        names = {name: name for name in names}  # a file with both spellings means two columns
    return [{names[name]: value for name, value in row.items()} | {'name': composed(row['name'])} for row in rows]


def _known_name(column: str, code: str) -> str:
    """The full name of a column; unchanged if the metric is not known."""
    try:
        return full_name(column, code)
    except UnknownNameError:
        return column


def _recorded_protocol(path: str | os.PathLike) -> str:
    """The protocol's label in the record beside a file; empty without a record."""
    try:
        return json.loads(Path(path).with_suffix('.json').read_text(encoding='utf-8'))['protocol']['label']
    except (OSError, ValueError, LookupError, TypeError):
        return ''
