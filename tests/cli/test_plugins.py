"""The verbs `new-plugin` and `check-plugin`."""

import re

import pytest

from vlfusion.cli import main


def test_a_new_plugin_carries_its_own_names_everywhere(tmp_path, capsys):
    assert main(['new-plugin', 'my_fusion', '--out', str(tmp_path / 'mine')]) == 0
    assert 'vlfusion check-plugin my_fusion' in capsys.readouterr().out
    text = '\n'.join(path.read_text() for path in (tmp_path / 'mine').rglob('*') if path.is_file())
    assert 'class MyFusionNet' in text and 'my_fusion = vlfusion_my_fusion' in text
    assert 'name = vlfusion-my-fusion' in text and not re.search('PACKAGE|CLASS|NAME|DISTRIBUTION', text)


def test_a_kind_of_a_new_plugin_may_be_chosen(tmp_path, capsys):
    assert main(['new-plugin', 'my_words', '--kind', 'captioner', '--out', str(tmp_path / 'mine')]) == 0
    printed = capsys.readouterr().out
    assert 'vlfusion check-plugin my_words' in printed and 'train' not in printed
    assert 'class MyWordsCaptioner' in (tmp_path / 'mine/vlfusion_my_words/__init__.py').read_text()
    with pytest.raises(SystemExit, match='2'):
        main(['new-plugin', 'my_words', '--kind', 'captoner', '--out', str(tmp_path / 'other')])
    assert 'invalid choice' in capsys.readouterr().err


def test_check_plugin_prints_what_holds(capsys):
    pytest.importorskip('vlfusion_hello', reason='pip install --editable plugins/hello_fusion')
    for name in ('hello', 'vlfusion_hello', 'vlfusion-hello'):
        assert main(['check-plugin', name, '--only', 'ContrastLoss']) == 0
    printed = capsys.readouterr().out
    assert 'ContrastLoss' in printed and 'HelloNet' not in printed and 'Nothing fails.' in printed


def test_check_plugin_fails_where_something_fails(capsys, monkeypatch):
    hello = pytest.importorskip('vlfusion_hello', reason='pip install --editable plugins/hello_fusion')
    monkeypatch.setattr(hello.ContrastLoss, 'forward', lambda self, fused, source_a, source_b: fused.square())
    monkeypatch.setattr(hello.ContrastLoss, '__doc__', None)
    assert main(['check-plugin', 'hello', '--only', 'vlfusion_hello.ContrastLoss']) == 1
    printed = ' '.join(capsys.readouterr().out.split())
    assert 'ContrastLoss documented FAILS ContrastLoss has no docstring' in printed
    assert 'interface FAILS For random images the loss has shape (2, 1, 48, 56)' in printed
    assert '2 checks fail' in printed


@pytest.mark.slow
def test_options_reach_what_is_built(capsys):
    pytest.importorskip('vlfusion_hello', reason='pip install --editable plugins/hello_fusion')
    assert main(['check-plugin', 'hello', '--options', 'dim=4', 'weight=2']) == 0  # each entry takes its own
    assert 'Nothing fails' in capsys.readouterr().out
    assert main(['check-plugin', 'hello', '--only', 'ContrastLoss', '--options', 'heft=2']) == 2
    assert "None of vlfusion_hello.ContrastLoss has an argument 'heft'" in capsys.readouterr().err


def test_unknown_names_are_answered(capsys):
    assert main(['check-plugin', 'cddfuze']) == 2
    assert "'vlfusion.plugins'" in capsys.readouterr().err
    pytest.importorskip('vlfusion_hello', reason='pip install --editable plugins/hello_fusion')
    assert main(['check-plugin', 'hello', '--only', 'HelloNut']) == 2
    assert 'Did you mean HelloNet?' in capsys.readouterr().err


def test_what_a_check_says_is_printed_as_it_is(capsys, monkeypatch):
    hello = pytest.importorskip('vlfusion_hello', reason='pip install --editable plugins/hello_fusion')

    def fail(self, fused, source_a, source_b):
        raise RuntimeError('wanted [batch, 1, h, w] from [/data/x]')
    monkeypatch.setattr(hello.ContrastLoss, 'forward', fail)
    assert main(['check-plugin', 'hello', '--only', 'ContrastLoss']) == 1
    assert 'wanted [batch, 1, h, w] from [/data/x]' in capsys.readouterr().out


def test_a_loss_that_asks_for_more_is_left_to_its_own_tests(capsys, monkeypatch):
    hello = pytest.importorskip('vlfusion_hello', reason='pip install --editable plugins/hello_fusion')
    monkeypatch.setattr(hello.ContrastLoss, 'forward', lambda self, fused, source_a, source_b, text: None)
    assert main(['check-plugin', 'hello', '--only', 'ContrastLoss']) == 0
    assert 'needs text' in capsys.readouterr().out


def test_a_plugin_that_registers_nothing(capsys, monkeypatch):
    pytest.importorskip('vlfusion_hello', reason='pip install --editable plugins/hello_fusion')
    monkeypatch.setattr('vlfusion.testing.plugins.entries', lambda plugin: [])
    assert main(['check-plugin', 'hello']) == 2
    assert 'vlfusion_hello registers nothing' in capsys.readouterr().err
