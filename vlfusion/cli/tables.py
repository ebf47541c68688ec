"""Tables that verbs print on a terminal, or to a file; and the same facts as JSON."""

import argparse
import json
from collections.abc import Collection, Iterable, Sequence
from itertools import compress
from typing import TYPE_CHECKING, Any

from vlfusion.errors import printable
from vlfusion.files import strict_json
from vlfusion.guards.cells import terminal_cell

if TYPE_CHECKING:
    from rich.console import Console

#: Columns of a terminal that has room for details.
WIDE = 150


def open_console(width: int = 400) -> 'Console':
    """Return a console. A file has no width, so there it is `width`: enough for a line per entry."""
    from rich.console import Console
    console = Console()
    if not console.is_terminal:
        console.width = width
    return console


def print_table(console: 'Console', columns: Sequence[str], rows: Iterable[Sequence[str]],
                whole: Collection[str] = (), details: Collection[str] = ()) -> None:
    """Print a table of outside text, without lines.

    Args:
        console: console to print to.
        columns: names of the columns.
        rows: cells of each row.
        whole: names of the columns whose cells are not broken into lines.
        details: names of the columns that a narrow terminal has no room for.
    """
    from rich.table import Table
    table, shown = Table(box=None, padding=(0, 2, 0, 0)), [console.width >= WIDE or name not in details
                                                           for name in columns]
    for column in compress(columns, shown):
        table.add_column(terminal_cell(column), no_wrap=column in whole)
    for cells in rows:
        table.add_row(*map(terminal_cell, compress(cells, shown)))
    console.print(table, highlight=False)


def add_json(parser: argparse._ActionsContainer) -> None:
    """Add the option that prints JSON in place of a table."""
    parser.add_argument('--json', action='store_true', help='print JSON for programs instead of text')


def print_json(value: Any) -> None:
    """Print plain data as `vlfusion.files.strict_json`. Characters that control a terminal become escapes."""
    text = strict_json(value)
    print(text if printable(text) == text else json.dumps(json.loads(text), indent=2))
