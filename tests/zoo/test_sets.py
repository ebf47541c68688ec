"""Data sets by name are fetched from a host, file by file, and laid out as configs expect."""

import logging
import re
import tomllib
from pathlib import Path

import pytest

from vlfusion.console.notes import new_run
from vlfusion.errors import ConfigError, DataError, DownloadError, PluginError, UnknownNameError
from vlfusion.files import windows_fault
from vlfusion.testing.public_host import git_blob
from vlfusion.testing.shared import shared
from vlfusion.zoo.facts import data_file
from vlfusion.zoo.sets import FACTS, advice_on, fetch_set, find_set_at, find_sets, get_set, read_sets

FETCHED = {name: entry for name, entry in find_sets().items() if entry.files}


def test_the_sets_of_the_benchmarks_can_be_fetched():
    assert {'TNO', 'RoadScene', 'MEFB', 'Lytro', 'Real-MFF', 'NYU-D', 'Harvard', 'U2Fusion'} <= FETCHED.keys()
    assert {'MSRS', 'VLF', 'LLVIP', 'M3FD'} <= find_sets().keys() - FETCHED.keys()
    assert FACTS.faults() == {}


@pytest.mark.parametrize('name', find_sets())
def test_facts_are_complete(name):
    entry = find_sets()[name]
    assert entry.title and entry.licence and entry.paper and entry.size
    assert entry.citation.strip().startswith('@') and entry.citation.count('{') == entry.citation.count('}')
    assert entry.files or entry.source.startswith('https://') and entry.steps


@pytest.mark.parametrize('name', FETCHED)
def test_a_manifest_holds_the_pairs_that_the_facts_state(name):
    entry = FETCHED[name]
    for file in entry.files.values():
        assert len(file.commit) == len(file.blob) == 40 and int(file.blob, 16) and file.size > 0
    for pairs in entry.pairs:
        places = pairs.folders + tuple(f'{pairs.folder}/{text}' for text in pairs.texts)
        stems = [_stems(entry, place) for place in places]
        assert pairs.count == len(stems[0]) and all(names == stems[0] for names in stems), pairs
    paths = [part for place in entry.files for part in Path(place).parts]
    assert [windows_fault(part) for part in paths if windows_fault(part)] == []
    assert len({place.casefold() for place in entry.files}) == len(entry.files)


def _stems(entry, pattern):
    """Names of the pairs of a folder, or of a pattern such as `mef/MEFB/*/{name}_B.*`."""
    folder, _, file = pattern.rpartition('/') if '{name}' in pattern else (pattern, '', '{name}.*')
    form = re.compile(re.escape(f'{folder}/{file}').replace(r'\*/', '[^/]+/').replace(r'\.\*', r'\.\w+')
                      .replace(r'\{name\}', '([^/]+)'))
    return {match[1] for place in entry.files if (match := form.fullmatch(place))}


@pytest.mark.parametrize('name', [name for name, entry in FETCHED.items() if entry.package == 'vlfusion'])
def test_manifests_are_those_of_the_real_files(name):
    entry = FETCHED[name]
    data = shared('data')
    files = {place: data / re.sub(r'^MTG/(\w+)/text', r'text/MTG/\1', place) for place in entry.files}
    here = {place: path for place, path in files.items() if path.is_file()}
    assert here and {place: entry.files[place].blob for place in here} == {
        place: git_blob(path.read_bytes()) for place, path in here.items()}


def test_names_are_found_in_any_spelling():
    assert get_set('realmff') is get_set('Real-MFF') is get_set('vlfusion.real_mff')
    with pytest.raises(UnknownNameError, match='Did you mean RoadScene'):
        get_set('RoadScenes')


def test_a_folder_of_a_config_names_its_set():
    entry, root = find_set_at('/data/ivf/RoadScene_train/ir')
    assert (entry.name, root) == ('RoadScene', '/data')
    assert find_set_at('data/mef/MEFB/*/{name}_B.*')[0].name == 'MEFB'
    assert 'vlfusion data get Harvard --root .`' in advice_on('mif/Harvard/CT-MRI/test/MRI')
    assert 'vlfusion data MSRS`' in advice_on('data/MSRS')
    assert advice_on('mine/ir') == '' and advice_on('ivf') == ''


def _contents(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob('*') if path.is_file()}


def test_a_set_is_fetched_once_in_its_layout(toy_set, host, caplog):
    new_run()
    with caplog.at_level(logging.WARNING):
        loaded = fetch_set('toy', toy_set.root)
    assert _contents(toy_set.root) == toy_set.files
    assert sorted(loaded) == sorted(toy_set.root / place for place in toy_set.files)
    assert 'Toy: 4 files, 22 bytes, come from github.com/owner/toy. Licence of the images: none stated.' in caplog.text
    asked = len(host.requests)
    assert fetch_set('Toy', toy_set.root) == [] and len(host.requests) == asked


def test_the_next_call_loads_only_what_is_missing(toy_set, host):
    place = 'ivf/Toy/vi/2.png'
    file = get_set('Toy').files[place]
    host.faults[f'/{file.repo}/{file.commit}/{file.path}'] = [404]
    with pytest.raises(DataError, match='1 of 4 files are missing'):
        fetch_set('Toy', toy_set.root)
    assert _contents(toy_set.root) == {key: content for key, content in toy_set.files.items() if key != place}
    host.requests.clear()
    assert fetch_set('Toy', toy_set.root) == [toy_set.root / place]
    assert [path for path, _ in host.requests] == [f'/{file.repo}/{file.commit}/{file.path}']


def test_a_wrong_content_never_gets_the_name(toy_set, host):
    file = get_set('Toy').files['ivf/Toy/ir/1.png']
    host.faults[f'/{file.repo}/{file.commit}/{file.path}'] = [b'<html>not found</html>']
    with pytest.raises(DataError, match='which is a web page'):
        fetch_set('Toy', toy_set.root)
    assert len(_contents(toy_set.root)) == 3


def test_other_files_are_kept_unless_forced(toy_set, host):
    own = toy_set.root / 'ivf/Toy/ir/1.png'
    own.parent.mkdir(parents=True)
    own.write_bytes(b'mine!')
    with pytest.raises(DataError, match='1 of 4 files of Toy are there with another content') as error:
        fetch_set('Toy', toy_set.root)
    assert str(own) in str(error.value) and '--force' in error.value.remedy
    assert _contents(toy_set.root) == {'ivf/Toy/ir/1.png': b'mine!'} and host.requests == []
    path = next(path for path in host.files if path.endswith('ir/toy 1.png'))
    host.faults[path] = [404]
    with pytest.raises(DataError, match='status 404'):
        fetch_set('Toy', toy_set.root, force=True)
    assert own.read_bytes() == b'mine!', 'it stays until its replacement is there'
    assert fetch_set('Toy', toy_set.root, force=True) == [own] and _contents(toy_set.root) == toy_set.files
    own.unlink()
    own.mkdir()
    with pytest.raises(DataError, match='1.png is a folder, where a file of Toy belongs'):
        fetch_set('Toy', toy_set.root, force=True)


def test_offline_says_how_many_are_missing(toy_set, host, monkeypatch):
    with pytest.raises(DownloadError, match='4 of 4 files of Toy are not in'):
        fetch_set('Toy', toy_set.root, offline=True)
    monkeypatch.setenv('VLFUSION_OFFLINE', '1')
    with pytest.raises(DownloadError, match='vlfusion is offline'):
        fetch_set('Toy', toy_set.root)
    assert host.requests == [] and not toy_set.root.exists()


def test_a_set_on_a_drive_has_instructions(tmp_path):
    with pytest.raises(DataError, match='LLVIP cannot be fetched') as error:
        fetch_set('LLVIP', tmp_path)
    assert f'vlfusion data check LLVIP --root {tmp_path}' in error.value.remedy


def test_a_name_of_two_packages_needs_its_package(install_sets, toy_set):
    install_sets('moresets', toy_set.facts.replace('Toy', 'TNO'))
    with pytest.raises(UnknownNameError, match='ambiguous') as error:
        get_set('tno')
    assert 'moresets.TNO, vlfusion.TNO' in str(error.value)
    assert get_set('moresets.TNO').title == 'Two pairs'
    assert {'moresets.TNO', 'vlfusion.TNO'} <= find_sets().keys() and 'TNO' not in find_sets()


def test_a_faulty_plugin_hides_no_other(install_sets):
    install_sets('badsets', '[Bad]\ntask = "ivf"')
    assert 'RoadScene' in find_sets() and 'Bad' not in find_sets()
    assert 'lacks title' in FACTS.faults()['badsets']
    with pytest.raises(PluginError, match='lacks title'):
        get_set('badsets.Bad')


@pytest.mark.parametrize(('old', 'new', 'problem'), [
    ('task = "ivf"', 'task = "fusion"', "task = 'fusion'"),
    ('task = "ivf"', '', 'lacks task'),
    ('title = "Two pairs"', '', 'lacks title'),
    ('count = 2', 'count = "two"', 'pairs.count is'),
    ('source_a = "ir"', 'sourcea = "ir"', "unknown key 'sourcea'"),
    ('folder = "ivf/Toy"', '', 'lacks folder'),
    ('[Toy]', '[Toy', 'cannot be read')])
def test_mistakes_in_facts_are_told(tmp_path, toy_set, old, new, problem):
    path = tmp_path / 'sets.toml'
    path.write_text(toy_set.facts.replace(old, new, 1))
    with pytest.raises(ConfigError, match=problem):
        read_sets(path, 'toysets')


def test_the_facts_are_sorted_by_task_and_each_name_occurs_once():
    facts = tomllib.loads(data_file('vlfusion', 'sets.toml').read_text(encoding='utf-8'))
    tasks = [entry['task'] for entry in facts.values() if isinstance(entry['task'], str)]
    assert tasks == sorted(tasks, key=['ivf', 'mif', 'mef', 'mff'].index)
