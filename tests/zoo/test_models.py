"""The facts in every `models.toml` are true as far as code can tell."""

import configparser
import re
from pathlib import Path

import pytest

from vlfusion import plugins
from vlfusion.cli import main
from vlfusion.config_names import require_config
from vlfusion.imaging.tasks import TASKS
from vlfusion.testing.plugins import survey_models
from vlfusion.testing.public_host import git_blob
from vlfusion.testing.shared import shared
from vlfusion.zoo.entries import Packaged, Pinned, find_models

ROOT = Path(__file__).parents[2]
PAGE = ROOT / 'docs/reference/models.md'
FILES = sorted(ROOT.glob('plugins/*/vlfusion_*/models.toml'))
PACKAGES = ['vlfusion', *(path.parent.name for path in FILES)]
INSTALLED = {'vlfusion', *(plugin.package for plugin in plugins.found())}
ENTRIES = find_models()
PINNED = {name: entry for name, entry in ENTRIES.items() if isinstance(entry.source, Pinned)}
#: Methods whose released files lie beside the repository, and models of them whose files do not.
SHARED, ABSENT = {'datfuse', 'didfuse', 'ffmef', 'ifcnn', 'seafusion'}, {'ifcnn-mef', 'ifcnn-ivf-sum'}


@pytest.mark.slow
@pytest.mark.parametrize('package', PACKAGES)
def test_networks_build_and_have_the_stated_parameters(package):
    if package not in INSTALLED:
        pytest.skip(f'{package} is not installed')
    if any(isinstance(entry.source, Packaged) and not entry.source.path.is_file() for entry in ENTRIES.values()
           if entry.package == package):
        pytest.skip(f'{package} lacks weights, which `make zoo` trains')
    failing = {result.check: result.detail for result in survey_models(package) if not result.holds}
    assert not failing


@pytest.mark.parametrize('name', PINNED)
def test_names_and_files(name):
    entry = PINNED[name]
    assert re.fullmatch(f'[a-z0-9]+-({"|".join(TASKS)})(-[a-z0-9]+)?', name) and f'-{entry.tasks[0]}' in name
    for file in entry.source.files:
        assert re.fullmatch('[0-9a-f]{40}', file.blob) and re.fullmatch('[0-9a-f]{40}', file.commit)
        assert re.fullmatch('([0-9a-f]{64})?', file.sha256)
    assert entry.licence and entry.verified and entry.method.code and entry.method.citation.count('{') > 3
    if entry.config:
        require_config(entry.config)


@pytest.mark.parametrize('name', [name for name in PINNED if name.partition('-')[0] in SHARED and name not in ABSENT])
def test_blob_ids_and_sizes_are_those_of_the_files(name):
    for file in PINNED[name].source.files:
        path = shared(f'zoo/{name.partition("-")[0]}/{Path(file.path).name}')
        assert (git_blob(path.read_bytes()), path.stat().st_size) == (file.blob, file.size)


def test_a_file_has_the_same_id_in_all_models():
    """Two models of one file, such as `ifcnn-ivf` and `ifcnn-mif`, state it alike."""
    files = {(file.repo, file.path): file for entry in PINNED.values() for file in entry.source.files}
    assert all(file == files[file.repo, file.path] for entry in PINNED.values() for file in entry.source.files)


def test_the_method_has_a_default_for_each_task():
    for name in PINNED:
        method, task, *rest = name.split('-')
        assert not rest or rest == ['authors'] or f'{method}-{task}' in ENTRIES


def test_the_reference_page_is_what_the_verb_prints(capsys):
    """Written by `vlfusion models --markdown > docs/reference/models.md`."""
    if absent := {*PACKAGES} - INSTALLED:
        pytest.skip(f'needs {", ".join(sorted(absent))}')
    assert main(['models', '--markdown']) == 0
    assert PAGE.read_text() == capsys.readouterr().out


@pytest.mark.parametrize('path', FILES, ids=PACKAGES[1:])
def test_a_plugin_is_installed_with_its_models(path):
    setup = configparser.ConfigParser()
    setup.read(path.parents[1] / 'setup.cfg')
    assert 'models.toml' in re.split(r'[,\s]+', setup['options.package_data'][path.parent.name])
