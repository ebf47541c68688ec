"""Run the notebooks of docs/tutorials from top to bottom, and keep their outputs.

    python scripts/tutorials.py                     # all
    python scripts/tutorials.py text_ablation       # one

Each runs in an empty folder. Times and other facts of a run are removed, so that a change of a file is a change of a
cell or of its output.
"""

import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

from vlfusion.files import whole

TUTORIALS = Path(__file__).parents[1] / 'docs/tutorials'
MOST_BYTES = 300_000
#: Lines about one run alone.
PASSING = re.compile(r'^Log: |^training: \d|Memory so far|\bs left\b')


def without_passing_facts(output: NotebookNode) -> NotebookNode | None:
    """Return an output of a cell without progress, times and warnings; None if nothing is left."""
    if output.output_type == 'stream':
        output.text = ''.join(line for line in output.text.splitlines(keepends=True) if not PASSING.search(line))
        return output if output.name == 'stdout' and output.text else None
    if 'text/plain' in output.data and PASSING.search(output.data['text/plain']):
        return None
    # Lines on the terminal come as HTML too, with fonts of their own.
    if output.data.get('text/html', '').startswith('<pre'):
        del output.data['text/html']
    return output


def run(path: Path) -> None:
    """Run one notebook and write it, or exit if it became too large to read on a forge."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=1200, startup_timeout=600, resources={'metadata': {'path': folder}}).execute()
    for cell in notebook.cells:
        cell.metadata.clear()
        if cell.cell_type == 'code':
            cell.outputs = [output for output in map(without_passing_facts, cell.outputs) if output]
    notebook.metadata = {'kernelspec': {'display_name': 'Python 3', 'language': 'python', 'name': 'python3'},
                         'language_info': {'name': 'python'}}
    text = nbformat.writes(notebook) + '\n'
    if len(text.encode()) >= MOST_BYTES:
        sys.exit(f'{path.name} has {len(text.encode())} bytes; its pictures must become smaller.')
    with whole(path) as file:
        file.write_text(text, encoding='utf-8')


if __name__ == '__main__':
    for name in sys.argv[1:] or sorted(path.stem for path in TUTORIALS.glob('*.ipynb')):
        run(TUTORIALS / f'{name}.ipynb')
        print(f'Ran {name}.')
