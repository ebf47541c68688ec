"""New plugins of every kind: their files, and that their tests and `check-plugin` accept them."""

import os
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from vlfusion.errors import ConfigError
from vlfusion.scaffold import skeleton
from vlfusion.scaffold.skeleton import KINDS, TEMPLATE, write_plugin
from vlfusion.zoo.entries import Packaged, Pinned, read_models

ROOT = Path(__file__).parents[2]
#: Runs the tests in the current folder and `check-plugin` on the name, in one process.
TRY = """
import sys
import pytest
from vlfusion.cli import main
sys.exit(pytest.main(['-q', '--doctest-modules', '-p', 'no:cacheprovider']) or main(['check-plugin', sys.argv[1]]))
"""


@pytest.mark.parametrize('source', ['file', 'repository'])
def test_the_names_of_a_new_method_only_need_their_comments_taken_off(source, tmp_path):
    path = write_plugin('my_words', tmp_path / 'mine').files[-1].parents[1] / 'vlfusion_my_words/models.toml'
    assert read_models(path, 'vlfusion_my_words') == []
    text = re.sub(r'^# (?=\[|\w+ = )', '', path.read_text(), flags=re.MULTILINE)
    cut = text.index('[models.my-words-mif.source]') if source == 'file' else text.index('source = {')
    end = len(text) if source == 'file' else text.index('}', cut) + 1
    path.write_text(text[:cut] + text[end:])
    entry, = read_models(path, 'vlfusion_my_words')
    assert (entry.name, entry.method.backbone) == ('my-words-mif', 'vlfusion_my_words.MyWordsNet')
    assert isinstance(entry.source, Packaged if source == 'file' else Pinned)


@pytest.mark.parametrize('kind', KINDS)
def test_files_of_every_kind_carry_their_own_names(kind, tmp_path):
    made = write_plugin('my_words', tmp_path / 'mine', kind)
    assert {path for path in (tmp_path / 'mine').rglob('*') if path.is_file()} == set(made.files)
    for path in made.files:
        text = path.read_text()
        assert not re.search('PACKAGE|CLASS|NAME|DASHED|DISTRIBUTION|KIND', f'{path.relative_to(tmp_path)}\n{text}')
        if path.suffix == '.py':
            compile(text, str(path), 'exec')
            assert max(map(len, text.splitlines())) <= 120
    assert f'MyWords{KINDS[kind]}' in (tmp_path / 'mine/vlfusion_my_words/__init__.py').read_text()


@pytest.mark.parametrize('kind', sorted({*KINDS} - {'method', 'metric'}))
def test_the_lines_for_a_config_are_python(kind, tmp_path):
    write_plugin('my_words', tmp_path / 'mine', kind)
    keys = {}
    exec(dedent(re.search(r'In a config.*?:\n\n(.*?)\n\n', (tmp_path / 'mine/README.md').read_text(), re.S)[1]), keys)
    assert f"'vlfusion_my_words.MyWords{KINDS[kind]}'" in str(keys)


@pytest.mark.slow
@pytest.mark.parametrize('kind', KINDS)
def test_a_plugin_of_every_kind_passes_its_tests_and_check_plugin(kind, tmp_path):
    write_plugin('my_words', tmp_path / 'mine', kind)
    installed = tmp_path / 'site'
    settings = {**os.environ, 'PIP_NO_INDEX': '1', 'PIP_NO_DEPS': '1', 'PIP_NO_BUILD_ISOLATION': '0',
                'PIP_DISABLE_PIP_VERSION_CHECK': '1', 'PYTHONPATH': os.pathsep.join([str(installed), str(ROOT)]),
                'VLFUSION_PLUGINS': 'my_words'}
    for command in (['-m', 'pip', 'install', '--quiet', '--target', str(installed), str(tmp_path / 'mine')],
                    ['-c', TRY, 'my_words']):
        done = subprocess.run([sys.executable, *command], cwd=tmp_path / 'mine', env=settings, capture_output=True,
                              text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert f'MyWords{KINDS[kind]}' in done.stdout and 'Nothing fails' in done.stdout


def test_an_ending_is_not_said_twice(tmp_path):
    write_plugin('edge_loss', tmp_path / 'mine', 'loss')
    assert 'def EdgeLoss(' in (tmp_path / 'mine/vlfusion_edge_loss/__init__.py').read_text()


def test_a_kind_that_is_none(tmp_path):
    with pytest.raises(ConfigError, match='Did you mean captioner'):
        write_plugin('mine', tmp_path / 'x', 'captoner')
    assert not (tmp_path / 'x').exists()


def test_hello_fusion_is_what_the_template_gives(tmp_path, monkeypatch):
    monkeypatch.setattr('vlfusion.scaffold.skeleton.plugins.found', lambda: ())  # hello itself may be installed
    skeleton = write_plugin('hello', tmp_path / 'hello')
    for path in skeleton.files:
        assert path.read_text() == (ROOT / 'plugins/hello_fusion' / path.relative_to(tmp_path / 'hello')).read_text(), \
            'Write plugins/hello_fusion again: vlfusion new-plugin hello --out plugins/hello_fusion'
    assert {path.name for path in TEMPLATE.iterdir()} == {'any', *KINDS}


@pytest.mark.parametrize('name', ['my-fusion', 'MyFusion', 'class', '2d', '', 'fusión', '_1', 'vlfusion_1', 'x_',
                                  'vlfusion_'])
def test_names_that_are_none(name, tmp_path):
    with pytest.raises(ConfigError, match='such as my_fusion'):
        write_plugin(name, tmp_path / 'x')
    assert not (tmp_path / 'x').exists()


def test_places_and_names_that_are_taken(tmp_path):
    pytest.importorskip('vlfusion_hello', reason='pip install --editable plugins/hello_fusion')
    with pytest.raises(ConfigError, match='belongs to vlfusion-hello 0.1.0'):
        write_plugin('hello', tmp_path / 'x')
    with pytest.raises(ConfigError, match='would hide its own package'):
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
    with pytest.raises(ConfigError, match='Nothing was written'):
        write_plugin('x', tmp_path / 'x')
