"""Cards of models: every fact is shown once, words find them, and sizes are readable."""

import pytest

from vlfusion.cli import main
from vlfusion.errors import UnknownNameError
from vlfusion.zoo.cards import card, reference_page, row, search
from vlfusion.zoo.entries import get_model

FACTS = """
[methods.Blend]
backbone = "vlfusion_blend.Blend"
paper = '''Smith, Blending of
two images, 2024'''
code = "https://example.org/blend"
parameters = 1234567
text = "a sentence"
citation = '''
@article{smith2024, title = {Blending}}'''
source = {repo = "someone/blend", commit = "cccccccccccccccccccccccccccccccccccccccc"}
licence = "MIT"

[models.blend-mef]
task = "mef"
protocol = "truncate"
arguments = {power = 2.0}
words = "measured"
trained = "SICE."
verified = "Equal."
numbers = "Qabf 0.5."
notes = "Zebra."
config = "own/blend"
source.files = [{path = "a.pth", blob = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", size = 1500000},
                {path = "b.pth", blob = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", size = 40395}]

[models.blend-mff]
task = "mff"
source.files = [{path = "b.pth", blob = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", size = 40395}]
"""


@pytest.fixture
def blend(install):
    install('vlfusion_blend', **{'models.toml': FACTS})


def test_a_card_has_every_fact(blend):
    shown = card(get_model('blend-mef'))
    assert shown.startswith('# blend-mef\n\n- **task**: `mef` (multi-exposure fusion)\n')
    for fact in ('`vlfusion_blend.Blend`, 1,234,567 parameters', 'a sentence', 'Smith, Blending of two images, 2024',
                 'https://example.org/blend', 'https://github.com/someone/blend at commit `cccccccccccc`: `a.pth` (git '
                 'blob `aaaaaaaaaaaa`), `b.pth` (git blob `bbbbbbbbbbbb`), 1.5 MB', 'MIT', 'protocol `truncate`',
                 '`power=2.0`', 'recipe `measured`', 'SICE.', 'Equal.', 'Qabf 0.5.', 'Zebra.',
                 '`vlfusion train own/blend`', '@article{smith2024'):
        assert shown.count(fact) == 1, fact


def test_the_page_has_the_facts_of_a_method_once(blend):
    page = reference_page()
    assert page.count('@article{smith2024') == 1 and page.count('## Blend, in vlfusion_blend') == 1
    assert '### blend-mef' in page and '| [blend-mff](#blend-mff) | Blend | mff | 1,234,567 | a sentence |' in page


def test_a_method_without_weights_has_a_card_too(install, capsys):
    install('vlfusion_late', **{'models.toml': '[methods.Be-lated]\nbackbone = "vlfusion_late.LateNet"\n'
                                               'parameters = 4321\ncitation = "@misc{late}"'})
    for name in ('Be-lated', 'belated', 'latenet'):
        assert main(['models', name]) == 0
        said = capsys.readouterr().out
        assert said.startswith('# Be-lated\n\n- **weights**: none by a name; the README of the plugin vlfusion_late ')
        assert '4,321 parameters' in said and '@misc{late}' in said
    assert '### Be-lated\n' in reference_page().partition('## Methods without weights')[2]
    assert main(['models', 'get', 'be_lated']) == 2
    assert 'Be-lated has no weights by a name: `vlfusion models Be-lated`.' in capsys.readouterr().err


def test_cells_of_the_table(blend):
    cells = row('blend-mff', get_model('blend-mff'))
    assert (cells['size'], cells['weights'], cells['here']) == ('40 kB', 'github.com/someone/blend', 'no')


def test_words_are_searched_in_the_card(blend, capsys):
    assert [*search(['zebra'])] == ['blend-mef'] and {*search(['SMITH', 'mff'])} == {'blend-mff'}
    with pytest.raises(UnknownNameError, match='blend and 1999'):
        search(['blend', '1999'])
    assert main(['models', 'zebra']) == 0
    assert 'blend-mef' in capsys.readouterr().out
    assert {'blend-mef', 'blend-mff'} <= search(['blend']).keys() and [*search(['blend', 'mef'])] == ['blend-mef']
    assert main(['models', 'zebrra']) == 2
    assert 'No model has zebrra in its card.' in capsys.readouterr().err
