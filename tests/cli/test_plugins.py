"""New plugins from the template, and what `check-plugin` says of installed ones."""

import re
from pathlib import Path

import pytest

from vlfusion.cli import main
from vlfusion.errors import ConfigError
from vlfusion.scaffold import skeleton
from vlfusion.scaffold.skeleton import PLACES, TEMPLATE, write_plugin

ROOT = Path(__file__).parents[2]


def test_hello_fusion_is_what_the_template_gives(tmp_path, monkeypatch):
    monkeypatch.setattr('vlfusion.scaffold.skeleton.plugins.found', lambda: ())  # hello itself may be installed
    skeleton = write_plugin('hello', tmp_path / 'hello')
    for path in skeleton.files:
        assert path.read_text() == (ROOT / 'plugins/hello_fusion' / path.relative_to(tmp_path / 'hello')).read_text(), \
            'Write plugins/hello_fusion again: vlfusion new-plugin hello --out plugins/hello_fusion'
    assert {path.name for path in TEMPLATE.iterdir()} == set(PLACES)


def test_a_new_plugin_carries_its_own_names_everywhere(tmp_path, capsys):
    assert main(['new-plugin', 'my_fusion', '--out', str(tmp_path / 'mine')]) == 0
    assert 'vlfusion check-plugin my_fusion' in capsys.readouterr().out
    text = '\n'.join(path.read_text() for path in (tmp_path / 'mine').rglob('*') if path.is_file())
    assert 'class MyFusionNet' in text and 'my_fusion = vlfusion_my_fusion' in text
    assert 'name = vlfusion-my-fusion' in text and not re.search('PACKAGE|CLASS|NAME|DISTRIBUTION', text)


@pytest.mark.parametrize('name', ['my-fusion', 'MyFusion', 'class', '2d', '', 'fusión', '_1', 'vlfusion_1', 'x_',
                                  'vlfusion_'])
def test_names_that_are_none(name, tmp_path):
    with pytest.raises(ConfigError, match='such as my_fusion'):
        write_plugin(name, tmp_path / 'x')
    assert not (tmp_path / 'x').exists()


def test_places_and_names_that_are_taken(tmp_path):
    pytest.importorskip('vlfusion_hello', reason='pip install --editable plugins/hello_fusion')
    with pytest.raises(ConfigError, match='vlfusion-hello 0.1.0 is installed'):
        write_plugin('hello', tmp_path / 'x')
    with pytest.raises(ConfigError, match='would hide the package'):
        write_plugin('mine', tmp_path / 'vlfusion_mine')
    (tmp_path / 'file').touch()
    with pytest.raises(NotADirectoryError, match='file'):
        write_plugin('mine', tmp_path / 'file/x')


def test_a_full_disk_leaves_no_half_plugin(tmp_path, full_disk, monkeypatch):
    monkeypatch.setattr(skeleton, '_filled', lambda text, words: text * (99 if len(text) > 99 else 1))
    for _ in range(2):
        with pytest.raises(OSError):
            write_plugin('mine', tmp_path / 'x')
        assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / 'x').mkdir()
    write_plugin('x', tmp_path / 'x')
    with pytest.raises(ConfigError, match='nothing was written'):
        write_plugin('x', tmp_path / 'x')


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
    assert 'asks for text' in capsys.readouterr().out


def test_a_plugin_that_registers_nothing(capsys, monkeypatch):
    pytest.importorskip('vlfusion_hello', reason='pip install --editable plugins/hello_fusion')
    monkeypatch.setattr('vlfusion.testing.plugins.entries', lambda plugin: [])
    assert main(['check-plugin', 'hello']) == 2
    assert 'vlfusion_hello registers nothing' in capsys.readouterr().err
