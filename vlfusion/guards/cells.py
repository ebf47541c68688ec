"""Text from outside, such as the name of a file, in a place that takes some signs for orders."""

import csv
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from rich.markup import escape

from vlfusion.errors import DataError, one_line, printable

#: A spreadsheet runs a cell that begins so. A quote before it makes it text; quotes that stand there get one more.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_QUOTED_FORMULA = re.compile(r"'+[=+\-@\t\r]")
#: What Markdown would take for a border, an emphasis, code, a link or a tag. Underscores count only beside a word.
_MARKDOWN = re.compile(r'[\\`*|\[\]]|(?<!\w)_|_(?!\w)')


def csv_cell(value: Any) -> Any:
    """A value as it is written to a CSV file, where a spreadsheet must not run it.

    >>> csv_cell('=1+1'), csv_cell("it's"), csv_cell(-1.5)
    ("'=1+1", "it's", -1.5)
    """
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def from_csv_cell(cell: str) -> str:
    """The text that `csv_cell` made the cell of.

    >>> from_csv_cell("'=1+1"), from_csv_cell("it's")
    ('=1+1', "it's")
    """
    return cell[1:] if _QUOTED_FORMULA.match(cell) else cell


def write_table(file: TextIO, header: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a CSV table. A float is written with all its digits."""
    writer = csv.DictWriter(file, header, lineterminator='\n')
    writer.writerow({name: csv_cell(name) for name in header})
    writer.writerows({name: csv_cell(value) for name, value in row.items()} for row in rows)


def read_table(path: str | os.PathLike, words: Collection[str], remedy: str) -> list[dict[str, str | float | None]]:
    """The rows of a CSV table.

    Args:
        path: as `write_table` writes it.
        words: the columns that hold text; `name` must be there. The others hold numbers; None
            stands for an empty cell.
        remedy: what to do about a file of another form.

    Raises:
        DataError: the file cannot be read, has no column `name`, or a line does not fit; line and column are named.
    """
    try:
        with Path(path).open(newline='', encoding='utf-8-sig') as file:
            header, *lines = [[from_csv_cell(cell) for cell in line] for line in csv.reader(file)] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f'{path} cannot be read as a CSV file: {error}.', remedy) from error
    if 'name' not in header or len(set(header)) < len(header):
        shown = ", ".join(map(repr, header[:8])) or 'none'
        raise DataError(f'The columns of {path} are {shown}; expected name among them, and each once.', remedy)
    rows = []
    for number, line in enumerate(lines, 2):
        if not line:
            continue  # a blank line
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
    r"""Text in a cell of a table on a terminal.

    >>> terminal_cell('[red]a\x1b')
    '\\[red]a\\x1b'
    """
    return escape(printable(text))


def markdown_cell(text: str) -> str:
    r"""Text in a cell of a Markdown table.

    >>> markdown_cell('a|b <c> snake_case')
    'a\\|b &lt;c> snake_case'
    """
    return one_line(_MARKDOWN.sub(r'\\\g<0>', text).replace('<', '&lt;'))


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """A Markdown table of cells that are Markdown already, its first `left` columns to the left, the others right."""
    rule = ['---' if column < left else '---:' for column in range(len(head))]
    return ''.join(f'| {" | ".join(cells)} |\n' for cells in (head, rule, *rows))
