"""The table of names that the repository's plugins would bring, for those who have not installed them."""

import configparser
import json
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from vlfusion import plugins
from vlfusion.cli import main
from vlfusion.errors import UnknownNameError
from vlfusion.plugins import Plugin
from vlfusion.registry import BACKBONES, REGISTRIES, snapshot
from vlfusion.testing.toys import draw_pairs
from vlfusion.zoo.entries import read_models

ROOT = Path(__file__).parents[1]
TABLE = ROOT / 'vlfusion/plugins.json'


def test_the_table_is_true():
    """Written by: `python -c "from test_known_plugins import *; TABLE.write_text(table())"` in tests/."""
    assert TABLE.read_text() == table()


def table():
    plugins.load_all(snapshot)
    packages = {}
    for path in sorted(ROOT.glob('plugins/*/setup.cfg')):
        setup = configparser.ConfigParser()
        setup.read(path)
        package = setup['options']['packages'].split()[0]
        if package == 'vlfusion_hello':  # an example, which nobody looks for
            continue
        assert package == f'vlfusion_{path.parent.name}', 'the hint names plugins/FOLDER'
        classes = sorted(name.rpartition('.')[2] for registry in REGISTRIES.values() for name in registry.names()
                         if name.startswith(f'{package}.'))
        path = path.parent / package / 'models.toml'
        models = [entry.name for entry in read_models(path, package)] if path.is_file() else []
        packages[package] = dict(classes=classes, models=models)
    return json.dumps(packages, indent=1) + '\n'


@pytest.mark.parametrize('asked', ['CDDFuse', 'CDDFus', 'vlfusion_cddfuse.CDDFuse'])
def test_a_plugin_that_is_not_installed_is_named(asked, monkeypatch):
    other = Plugin(EntryPoint('ifcnn', 'vlfusion_ifcnn', plugins.GROUP), 'loaded')
    monkeypatch.setattr(plugins, 'found', lambda: (other,))
    monkeypatch.setattr(BACKBONES, '_module_dict', {})
    with pytest.raises(UnknownNameError) as caught:
        BACKBONES.get(asked)
    assert 'CDDFuse comes with the plugin vlfusion_cddfuse' in caught.value.remedy
    assert 'pip install plugins/cddfuse' in caught.value.remedy


@pytest.mark.parametrize('asked', ['cddfuse-mif', 'cdd-fuse-mif', 'CDDFuse_mif'])
def test_the_plugin_of_a_model_is_named(asked, monkeypatch, capsys, tmp_path):
    draw_pairs(tmp_path, ['p'])
    monkeypatch.chdir(tmp_path)
    other = Plugin(EntryPoint('ifcnn', 'vlfusion_ifcnn', plugins.GROUP), 'loaded')
    monkeypatch.setattr(plugins, 'found', lambda: (other,))
    for command in (['fuse', asked, 'ir', 'vi', '-o', 'out'], ['models', 'get', asked]):
        assert main(command) == 2
        assert 'cddfuse-mif comes with the plugin vlfusion_cddfuse, which is not installed' in capsys.readouterr().err
    assert plugins.model_provider('ifcnn-mef') == ''


def test_the_plugin_of_a_model_is_disabled(monkeypatch):
    monkeypatch.setenv(plugins.SWITCH, 'ifcnn')
    disabled = Plugin(EntryPoint('cddfuse', 'vlfusion_cddfuse', plugins.GROUP), 'disabled')
    monkeypatch.setattr(plugins, 'found', lambda: (disabled,))
    assert plugins.model_provider('cddfuse-mfi') == ('cddfuse-mif comes with the plugin vlfusion_cddfuse, which is '
                                                     "disabled by VLFUSION_PLUGINS='ifcnn'.")


def test_no_plugin_is_named_that_is_there():
    with pytest.raises(UnknownNameError) as caught:
        BACKBONES.get('CDDFus')
    assert 'comes with' not in caught.value.remedy
