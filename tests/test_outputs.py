"""Nothing that results are made from is ever replaced, and what cannot be written is said before the work."""

import os

import pytest
from conftest import draw_pairs

from vlfusion.cli import main
from vlfusion.errors import DataError
from vlfusion.outputs import check_outputs

LAPLACIAN = 'plugins/classical/configs/laplacian_ivf.py'


@pytest.fixture
def folder(tmp_path):
    draw_pairs(tmp_path, ['p', 'q'])
    return tmp_path


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def links(folder):
    """Ways to name the image p of source A."""
    source = folder / 'ir/p.png'
    (folder / 'soft.png').symlink_to(source)
    os.link(source, folder / 'hard.png')
    (folder / 'way').symlink_to(folder / 'ir')
    return [source, folder / 'ir/../ir/p.png', folder / 'soft.png', folder / 'hard.png', folder / 'way/p.png']


def test_an_output_is_known_by_what_it_is(folder):
    for path in links(folder):
        with pytest.raises(DataError, match='p.png'):
            check_outputs([path], [folder / 'ir/p.png'])
    with pytest.raises(DataError, match='is the input'):
        check_outputs([folder / 'way'], [folder / 'ir'])
    check_outputs([folder / 'ir/q.png', folder / 'new/deep/x.png'], [folder / 'ir/p.png', None, folder / 'absent'])


@pytest.mark.parametrize('output, message', [('ir/p.png/x.png', 'not a folder'), ('x' * 253 + '.png', '255 bytes'),
                                             ('像' * 90 + '.png', '255 bytes'), ('ir/p.png/a/b.png', 'not a folder')])
def test_what_cannot_be_written_is_said(folder, output, message):
    with pytest.raises(DataError, match=message):
        check_outputs([folder / output], [])


def test_fuse_replaces_no_source(folder, capsys):
    before = contents(folder)
    sources = str(folder / 'ir'), str(folder / 'vi')
    for out in ('ir', 'vi', 'ir/../vi'):
        assert main(['fuse', LAPLACIAN, *sources, '-o', str(folder / out)]) == 2
    for out in ('ir/p.png', 'ir', 'vi/p.png'):  # a folder for two files: the name of source A in it
        assert main(['fuse', LAPLACIAN, str(folder / 'ir/p.png'), str(folder / 'vi/p.png'), '-o',
                     str(folder / out)]) == 2
    assert main(['fuse', LAPLACIAN, *sources, '-o', str(folder / 'ir/p.png')]) == 2
    assert 'Nothing was read or written' in capsys.readouterr().err
    assert contents(folder) == before


def test_fuse_says_before_the_work_that_it_cannot_write(folder, capsys):
    pair = str(folder / 'ir/p.png'), str(folder / 'vi/p.png')
    for out in ('f.pdf', 'f', 'ir/p.png/x.png', 'x' * 260 + '.png'):
        assert main(['fuse', 'no/such/checkpoint.pth', *pair, '-o', str(folder / out)]) == 2
        assert 'No checkpoint' not in capsys.readouterr().err
    assert main(['fuse', LAPLACIAN, pair[0], pair[0], '-o', str(folder / 'f.png')]) == 2
    assert 'are the same file' in capsys.readouterr().err
