"""Rows of scores, and the CSV file that holds them.

A row holds what is known of one image: its `name`, the label of its `protocol` (such as `film.1`), for a control image
which `control` it is, then one value for each metric by its full name (`EN`, `MI:film`, `truth/PSNR`). All rows have
the same columns. A value is None, and empty in a file, where its metric could not be computed.
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
#: The columns that are no metrics, in the order of a file.
WORDS = ('name', 'control', 'protocol')


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
    """The rows that `write_csv` wrote. Names are composed, so that those of several files compare.

    Earlier files have `MI` where this version writes `MI:film`: the protocol of the row, or of the record beside the
    file, says which variant is meant.

    Raises:
        DataError: the file is of another form; the line and the column are named.
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
    """The full name, or the name as it is where no such metric is known here."""
    try:
        return full_name(column, code)
    except UnknownNameError:
        return column


def _recorded_protocol(path: str | os.PathLike) -> str:
    """The protocol's label in the record beside a file; empty without one."""
    try:
        return json.loads(Path(path).with_suffix('.json').read_text(encoding='utf-8'))['protocol']['label']
    except (OSError, ValueError, LookupError, TypeError):
        return ''
