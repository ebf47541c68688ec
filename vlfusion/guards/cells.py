"""Outside text, such as a file name, in tables that give some characters a meaning: CSV, Markdown, terminals."""

import csv
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from rich.markup import escape

from vlfusion.errors import DataError, one_line, printable

#: A spreadsheet runs cells that begin like this. A leading quote makes them text; cells with quotes get one more.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_QUOTED_FORMULA = re.compile(r"'+[=+\-@\t\r]")
#: Characters that Markdown reads as borders, emphasis, code or links. Underscores count only at the edge of a word.
_MARKDOWN = re.compile(r'[\\`*|\[\]]|(?<!\w)_|_(?!\w)')


def csv_cell(value: Any) -> Any:
    """Escape a value for a CSV file, so that no spreadsheet runs it as a formula.

    >>> csv_cell('=1+1'), csv_cell("it's"), csv_cell(-1.5)
    ("'=1+1", "it's", -1.5)
    """
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def from_csv_cell(cell: str) -> str:
    """Return the text that `csv_cell` escaped.

    >>> from_csv_cell("'=1+1"), from_csv_cell("it's")
    ('=1+1', "it's")
    """
    return cell[1:] if _QUOTED_FORMULA.match(cell) else cell


def write_table(file: TextIO, header: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a CSV table. Floats keep all their digits."""
    writer = csv.DictWriter(file, header, lineterminator='\n')
    writer.writerow({name: csv_cell(name) for name in header})
    writer.writerows({name: csv_cell(value) for name, value in row.items()} for row in rows)


def read_table(path: str | os.PathLike, words: Collection[str], remedy: str) -> list[dict[str, str | float | None]]:
    """Read the rows of a CSV table.

    Args:
        path: a file as `write_table` writes it, with a column `name`.
        words: the columns that hold text. All others hold numbers; an empty cell becomes None.
        remedy: advice to the user if the file has another form.

    Raises:
        DataError: the file cannot be read, has no column `name`, or a line does not fit. Names line and column.
    """
    try:
        with Path(path).open(newline='', encoding='utf-8-sig') as file:
            header, *lines = [[from_csv_cell(cell) for cell in line] for line in csv.reader(file)] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f'{path} cannot be read as a CSV file: {error}.', remedy) from error
    if 'name' not in header or len(set(header)) < len(header):
        shown = ", ".join(map(repr, header[:8])) or 'none'
        raise DataError(f'The columns of {path} are {shown}; expected a column name, and no column twice.', remedy)
    rows = []
    for number, line in enumerate(lines, 2):
        if not line:
            continue
        if len(line) != len(header):
            raise DataError(f'Line {number} of {path} has {len(line)} cells; expected {len(header)}.', remedy)
        rows.append({column: cell if column in words else _number(cell, f'{column} in line {number} of {path}', remedy)
                     for column, cell in zip(header, line, strict=True)})
    return rows


def _number(cell: str, where: str, remedy: str) -> float | None:
    try:
        return float(cell) if cell else None
    except ValueError:
        raise DataError(f'{where} is {cell!r}; expected a number.', remedy) from None


def terminal_cell(text: str) -> str:
    r"""Escape text for a cell of a table on a terminal.

    >>> terminal_cell('[red]a\x1b')
    '\\[red]a\\x1b'
    """
    return escape(printable(text))


def markdown_cell(text: str) -> str:
    r"""Escape text for a cell of a Markdown table.

    >>> markdown_cell('a|b <c> snake_case')
    'a\\|b &lt;c> snake_case'
    """
    return one_line(_MARKDOWN.sub(r'\\\g<0>', text).replace('<', '&lt;'))


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """Build a table from Markdown cells. The first `left` columns align left, the others right."""
    rule = ['---' if column < left else '---:' for column in range(len(head))]
    return ''.join(f'| {" | ".join(cells)} |\n' for cells in (head, rule, *rows))
