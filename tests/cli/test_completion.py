"""Completion in a shell, as the shell asks for it."""

import os
import shutil
import subprocess
import sys

import pytest

from vlfusion.cli import VERBS, main

#: What a shell's function runs; afterwards the names of slow packages that were imported.
ASK = """
import atexit, os, sys
os._exit = sys.exit
atexit.register(lambda: print('slow:', *{'torch', 'transformers', 'mmcv', 'gradio'} & {*sys.modules}, file=sys.stderr))
from vlfusion.cli import main
main()
"""


def completed(line: str, tmp_path) -> list[str]:
    """The words that follow a line on the Tab key. Asserts that nothing slow was imported."""
    answer = tmp_path / 'answer'
    answer.write_text('')
    settings = {**os.environ, '_ARGCOMPLETE': '1', '_ARGCOMPLETE_IFS': '\n', 'COMP_LINE': line,
                'COMP_POINT': str(len(line)), 'COMP_TYPE': '9', '_ARGCOMPLETE_STDOUT_FILENAME': str(answer)}
    done = subprocess.run([sys.executable, '-c', ASK], env=settings, cwd=tmp_path, capture_output=True, text=True)
    assert done.stderr.split() == ['slow:'], done.stderr
    return [word.strip() for word in answer.read_text().split('\n') if word.strip()]


@pytest.mark.slow
@pytest.mark.parametrize(('line', 'words'), [
    ('vlfusion conv', {'convert-weights'}),
    ('vlfusion ', {*VERBS}),
    ('vlfusion compare --mo', {'--most'}),
    ('vlfusion text ', {'show', 'audit', 'export', 'import', 'observe'}),
    ('vlfusion fuse film-mi', {'film-mif', 'film-mine.pth'}),
    ('vlfusion --offline train film/film_med_s', {'film/film_med_sample'}),
    ('vlfusion describe pictures --words measured-', {'measured-server'}),
    ('vlfusion data get RoadS', {'RoadScene'}),
], ids=lambda value: value if isinstance(value, str) else '')
def test_words_are_completed_without_torch(line, words, tmp_path):
    (tmp_path / 'film-mine.pth').touch()
    assert words <= {*completed(line, tmp_path)}


@pytest.mark.parametrize('shell', ['bash', 'zsh', 'fish'])
def test_a_shell_gets_its_line(shell, tmp_path, capsys):
    assert main(['completion', shell]) == 0
    code = capsys.readouterr().out
    assert code.startswith('# Add to ~/.') and f'vlfusion completion {shell}' in code.splitlines()[0]
    if program := shutil.which(shell):
        (tmp_path / 'code').write_text(code)
        subprocess.run([program, '-n', tmp_path / 'code'], check=True)
