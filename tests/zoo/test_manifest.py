"""Manifests are read strictly, and no file of one leaves the data root."""

import os
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

from vlfusion.errors import ConfigError
from vlfusion.testing.public_host import git_blob
from vlfusion.zoo.manifest import read_manifest
from vlfusion.zoo.remote import RemoteFile

BLOB = 'c38c5e7f3bd2324816de8ffc6d3fdb10d85311ad'
COMMIT = '1' * 40
GOOD = (f'repository\towner/name\t{COMMIT}\nfolder\timages/a b\tivf/X/ir\n'
        f'{BLOB}\t12\t1.png\n{BLOB}\t7\tNYU (2).jpg\t2.jpg\n')


def test_lines_become_files_of_their_places(tmp_path):
    path = tmp_path / 'X.tsv'
    path.write_text(GOOD)
    assert read_manifest(path) == {
        'ivf/X/ir/1.png': RemoteFile('owner/name', COMMIT, 'images/a b/1.png', BLOB, 12),
        'ivf/X/ir/2.jpg': RemoteFile('owner/name', COMMIT, 'images/a b/NYU (2).jpg', BLOB, 7)}


@pytest.mark.parametrize(('old', 'new', 'line'), [
    ('ivf/X/ir', '../X', 2), ('ivf/X/ir', '/etc', 2), ('1.png', '../../1.png', 3), ('2.jpg', 'a\\2.jpg', 4),
    ('12', 'twelve', 3), (f'repository\towner/name\t{COMMIT}\n', '', 2), ('folder', 'Folder', 2), ('\t1.png', '', 3),
    (COMMIT, 'main', 1), (BLOB, '../../x', 3)])
def test_other_lines_are_refused(tmp_path, old, new, line):
    path = tmp_path / 'X.tsv'
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(ConfigError, match=f'line {line}, is'):
        read_manifest(path)


def test_an_unreadable_manifest(tmp_path):
    with pytest.raises(ConfigError, match='cannot be read'):
        read_manifest(tmp_path / 'absent.tsv')


@pytest.mark.skipif(not shutil.which('git'), reason='needs git')
def test_manifests_are_written_from_a_git_tree(tmp_path):
    files = {'ir/a (1).png': b'one', 'ir/a (2).png': b'two', 'ir/notes.txt': b'-', 'vi/a (1).png': b'three'}
    for place, content in files.items():
        path = tmp_path / 'repo' / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    names = {f'GIT_{who}_{what}': 'a@b' for who in ('AUTHOR', 'COMMITTER') for what in ('NAME', 'EMAIL')}

    def git(*words):
        return subprocess.run(['git', '-C', tmp_path / 'repo', *words], check=True, capture_output=True, text=True,
                              env={**os.environ, **names}).stdout.strip()
    for words in (['init', '-q'], ['add', '-A'], ['commit', '-q', '-m', 'images']):
        git(*words)
    script = runpy.run_path(str(Path(__file__).parents[2] / 'scripts/manifests.py'))
    commit = git('rev-parse', 'HEAD')
    script['COMMITS']['owner/name'] = commit
    script['SETS']['Mine'] = script['Rules']('owner/name', [(r'(\w+)/a \((\d)\)\.png', r'ivf/Mine{split}/\1/\2.png')],
                                             test=('owner/name', 'vi'), folder=str(tmp_path))
    tree = script['list_tree'](tmp_path / 'repo/.git', 'owner/name')
    assert script['write_manifest']('Mine', {'owner/name': tree}) == 3
    assert read_manifest(tmp_path / 'Mine.tsv') == {
        place: RemoteFile('owner/name', commit, path, git_blob(files[path]), len(files[path])) for place, path in {
            'ivf/Mine/ir/1.png': 'ir/a (1).png', 'ivf/Mine_train/ir/2.png': 'ir/a (2).png',
            'ivf/Mine/vi/1.png': 'vi/a (1).png'}.items()}
