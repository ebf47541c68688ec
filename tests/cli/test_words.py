"""`vlfusion words`: the list, a card, and what it says of this machine."""

from pathlib import Path

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
    ({}, False, 'yes, after its download'), ({'Download': 'none'}, False, 'yes'),
    ({'Download': 'none', 'Memory': '3 GB of GPU or RAM'}, False, 'yes, slowly without a GPU'),
    ({'Download': 'none', 'Memory': '3 GB of GPU or RAM'}, True, 'yes'),
    ({'Download': 'none', 'Memory': '1 GB; no GPU'}, False, 'yes'),
    ({'Download': 'none here', 'Server': 'http://localhost:1/v1'}, True, 'yes, if its server runs'),
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
