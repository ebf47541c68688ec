"""The table of names that the repository's plugins would bring, for those who have not installed them."""

import configparser
import json
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from vlfusion import plugins
from vlfusion.errors import UnknownNameError
from vlfusion.plugins import Plugin
from vlfusion.registry import BACKBONES, REGISTRIES, snapshot

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
        packages[package] = sorted(name.rpartition('.')[2] for registry in REGISTRIES.values()
                                   for name in registry.names() if name.startswith(f'{package}.'))
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


def test_no_plugin_is_named_that_is_there():
    with pytest.raises(UnknownNameError) as caught:
        BACKBONES.get('CDDFus')
    assert 'comes with' not in caught.value.remedy
