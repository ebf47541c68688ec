"""Configs are addressed by name, in any folder."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from vlfusion import plugins
from vlfusion.config import load_config
from vlfusion.config_names import find_config, is_config, require_config, shipped
from vlfusion.errors import ConfigError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def own_plugin(tmp_path, monkeypatch):
    """An installed plugin called `own` with two configs; importing it is an error."""
    site = tmp_path / 'site'
    (site / 'vlfusion_own/configs/_base_').mkdir(parents=True)
    (site / 'vlfusion_own/__init__.py').write_text('raise RuntimeError')
    (site / 'vlfusion_own/configs/own_ivf.py').write_text(
        "_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion_own::_base_/pairs']\nmodel = dict(type='Own')\n")
    (site / 'vlfusion_own/configs/_base_/pairs.py').write_text("task = 'ivf'\n")
    info = site / 'vlfusion_own-1.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: vlfusion-own\nVersion: 1.0\n')
    (info / 'entry_points.txt').write_text('[vlfusion.plugins]\nown = vlfusion_own\n')
    monkeypatch.syspath_prepend(str(site))
    plugins.found.cache_clear()
    yield site / 'vlfusion_own/configs'
    plugins.found.cache_clear()


@pytest.mark.parametrize('name', ['film/film_med', 'film/film_med.py', 'configs/film/film_med.py',
                                  'vlfusion::film/film_med', 'vlfusion::film/film_med.py'])
def test_a_config_of_vlfusion_has_a_name_in_any_folder(name, here):
    assert require_config(name) == ROOT / 'configs/film/film_med.py'
    assert is_config(name) and load_config(name).task == 'mif'


def test_a_file_wins_over_a_name(here):
    (here / 'configs/film').mkdir(parents=True)
    (here / 'configs/film/film_med.py').write_text("task = 'ivf'")
    assert load_config('configs/film/film_med.py').task == 'ivf'
    assert load_config('film/film_med.py').task == 'mif'


@pytest.mark.parametrize('name', ['own/own_ivf', 'own/own_ivf.py', 'vlfusion_own::own_ivf', 'vlfusion_own::own_ivf.py'])
def test_a_plugin_ships_configs_and_is_not_imported(name, own_plugin):
    config = load_config(name)
    assert config.filename == str(own_plugin / 'own_ivf.py')
    assert (config.task, config.default_scope, config.model) == ('ivf', 'vlfusion', {'type': 'Own'})
    assert '_scope_' not in config.pretty_text


def test_every_config_that_ships_is_found_by_the_name_it_is_listed_by(own_plugin):
    configs = shipped()
    assert {'film/film_med', 'benchmark/mif', '_base_/runtime', 'own/own_ivf', 'own/_base_/pairs'} <= configs.keys()
    assert all(find_config(name) == path for name, path in configs.items())


@pytest.mark.parametrize('name', ['', 'film', 'film/', '/film/film_med', 'film/../film/film_med', '../configs/x',
                                  'no_such_package::film/film_med', '::film/film_med_', 'x.pth'])
def test_what_is_no_name(name, here):
    assert find_config(name) is None and not is_config(name)


@pytest.mark.parametrize(('asked', 'meant'), [('film/film_mef_smple', 'film/film_mef_sample'),
                                              ('own/own_ifv', 'own/own_ivf'), ('zoo/film_ivv.py', 'zoo/film_ivf')])
def test_a_misspelt_name(asked, meant, here, own_plugin):
    with pytest.raises(ConfigError, match='No config at') as caught:
        require_config(asked)
    assert str(here / asked) in caught.value.problem and f'Did you mean {meant}?' in caught.value.remedy
    places = [own_plugin / 'own_ifv.py'] if asked.startswith('own') else [ROOT / f'configs/{asked}'.removesuffix('.py')]
    assert all(str(place) in caught.value.problem for place in places) and 'list configs' in caught.value.remedy


@pytest.mark.parametrize(('base', 'problem', 'remedy'), [
    ('vlfusion::_base_/runtim.py', f'{ROOT / "configs"} has no _base_/runtim.py', 'vlfusion::_base_/runtime.py'),
    ('vlfusion_owm::x.py', 'no package vlfusion_owm with configs is installed', 'correct the name'),
    ('mmdet::_base_/default_runtime.py', 'ModuleNotFoundError', '')])  # MMEngine's own names stay its own
def test_a_misspelt_base(base, problem, remedy, here):
    (here / 'x.py').write_text(f'_base_ = [{base!r}]')
    with pytest.raises(ConfigError) as caught:
        load_config('x.py')
    assert problem in caught.value.problem and remedy in caught.value.remedy


def test_a_config_of_a_plugin_that_is_not_installed(here, monkeypatch):
    monkeypatch.setattr(plugins, 'found', lambda: ())
    with pytest.raises(ConfigError) as caught:
        require_config('cddfuse/cddfuse_ivf')
    assert 'pip install plugins/cddfuse' in caught.value.remedy


@pytest.mark.parametrize('name', ['', '_short', '_sample', '_zeroshot'])
def test_med_and_mif_are_the_same(name):
    one, other = (load_config(f'film/film_{task}{name}') for task in ('med', 'mif'))
    assert one.to_dict() == other.to_dict() and one.task == 'mif'


@pytest.mark.slow
def test_wheels_hold_the_configs_and_find_them_anywhere(tmp_path):
    """The wheels of vlfusion and of a plugin, built without network; configs are read from them in another folder."""
    site = tmp_path / 'site'
    for folder, kept in (ROOT, ('vlfusion', 'configs')), (ROOT / 'plugins/cddfuse', ('vlfusion_cddfuse', 'configs')):
        source = tmp_path / folder.name
        source.mkdir()  # a copy: building leaves folders behind
        for name in kept:
            shutil.copytree(folder / name, source / name, ignore=shutil.ignore_patterns('__pycache__'))
        for name in ('setup.cfg', 'setup.py', 'pyproject.toml', 'README.md', 'LICENSE'):
            if (folder / name).exists():
                shutil.copy(folder / name, source / name)
        subprocess.run([sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-index', '--no-deps',
                        '--no-build-isolation', '--wheel-dir', str(tmp_path), str(source)], check=True)
    for wheel in tmp_path.glob('*.whl'):
        zipfile.ZipFile(wheel).extractall(site)
    for folder, package in ('configs', 'vlfusion'), ('plugins/cddfuse/configs', 'vlfusion_cddfuse'):
        assert {path.relative_to(ROOT / folder) for path in (ROOT / folder).rglob('*.py')} == {
            path.relative_to(site / package / 'configs') for path in (site / package / 'configs').rglob('*.py')}
    data = {path.relative_to(ROOT) for path in (ROOT / 'vlfusion').rglob('*')
            if path.is_file() and path.suffix not in ('.py', '.pyc')}
    assert {path for path in data if not (site / path).is_file()} == set()
    done = subprocess.run([sys.executable, '-c', 'import sys; from vlfusion.config import load_config; '
                           'print(*(load_config(name).filename for name in sys.argv[1:]), sep="\\n")',
                           'film/film_med', 'cddfuse/cddfuse_ivf'],
                          cwd=tmp_path, env=os.environ | {'PYTHONPATH': str(site)}, text=True, capture_output=True)
    assert done.stdout.split() == [str(site / 'vlfusion/configs/film/film_med.py'),
                                   str(site / 'vlfusion_cddfuse/configs/cddfuse_ivf.py')], done.stderr
