"""Options that several verbs share: overrides, imports, homes."""

import argparse

import pytest

from vlfusion.cli import parse
from vlfusion.cli.key_values import KeyValues
from vlfusion.cli.options import import_modules
from vlfusion.config import expand_home, load_config
from vlfusion.errors import VLFusionError


def _parsed(*words):
    parser = argparse.ArgumentParser()
    parser.add_argument('--options', nargs='+', action=KeyValues)
    return parser.parse_args(['--options', *words]).options


@pytest.mark.parametrize(('word', 'value'), [
    ('a=/x/my work', '/x/my work'), ('a=/x/two  blanks', '/x/two  blanks'), ('a="/x/my work"', '/x/my work'),
    ('a=1', 1), ('a= 1', 1), ('a = 1', 1),
    ('a = /x/my work', '/x/my work'), ('a=1.5', 1.5), ('a=true', True), ('a=None', None),
    ('a=b=c d', 'b=c d'), ('a=', ''),
    ('a=1,2', [1, 2]), ('a=[my work, b]', ['my work', 'b']), ('a=(1, 2)', (1, 2)),
    ('a=[(1, x y), [a]]', [(1, 'x y'), ['a']]),
    ('a=Fuse the two images.', 'Fuse the two images.'), ("a=['b c', 'd']", ['b c', 'd']), ('a=x (1)', 'x (1)')])
def test_values_keep_their_blanks_and_their_forms(word, value):
    assert _parsed(word) == {'a': value}


def test_options_add_up():
    assert _parsed('a=1', 'b.c=x y', '--options', 'a=2') == {'a': 2, 'b.c': 'x y'}


@pytest.mark.parametrize(('word', 'message'), [
    ('a', "expected KEY=VALUE, but got 'a'"), ('a=(1, 2', 'brackets'), ('a=[dict(x=1, y=2)]', 'in a config file')])
def test_what_is_no_option_is_told(word, message, capsys):
    with pytest.raises(SystemExit) as caught:
        _parsed(word)
    assert caught.value.code == 2 and message in capsys.readouterr().err


@pytest.fixture
def home(monkeypatch):
    monkeypatch.setenv('HOME', '/home/me')
    monkeypatch.setenv('USERPROFILE', '/home/me')


@pytest.mark.parametrize(('value', 'expanded'), [
    ('~/x', '/home/me/x'), ('~', '/home/me'), ('~/my work', '/home/me/my work'), ('A=~/x', 'A=/home/me/x'),
    ({'a': ['~/x', ('~/y',)]}, {'a': ['/home/me/x', ('/home/me/y',)]}),
    *[(same, same) for same in ('a~', 'a/~/b', '~ about', '~nobody-at-all/x', 5, None)]])
def test_a_home_is_spelt_out(home, value, expanded):
    assert expand_home(value) == expanded


def test_homes_in_configs_and_arguments(home, tmp_path):
    (tmp_path / 'config.py').write_text("task = 'ivf'\ndata_root = '~/data'\n"
                                        "language = dict(store='~/text', prompt='About ~ 5 words.')\n")
    config = load_config(tmp_path / 'config.py', {'work_dir': '~/work'})
    assert config.data_root == '/home/me/data' and config.work_dir == '/home/me/work'
    assert config.language == dict(store='/home/me/text', prompt='About ~ 5 words.')
    args = parse(['leaderboard', 'A=~/a.csv', '~/b.csv', '--out', '~/c.md'])
    assert args.scores == ['A=/home/me/a.csv', '/home/me/b.csv'] and args.out == ['/home/me/c.md']


@pytest.mark.parametrize(('code', 'message'), [
    (None, "ModuleNotFoundError: No module named 'surely_absent'"), ('1 / 0', 'ZeroDivisionError'),
    ('import sys; sys.exit(3)', 'exit|Exit'), ('def', 'SyntaxError')])
def test_a_module_that_cannot_be_imported_is_told(code, message, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    name = 'surely_absent'
    if code:
        name = f'module_{abs(hash(code))}'
        (tmp_path / f'{name}.py').write_text(code)
    with pytest.raises(VLFusionError, match=message):
        import_modules([name])
