"""Nothing that results are made from is ever replaced, and what cannot be written is said before the work."""

import os
import shutil

import pytest
import torch

from vlfusion.cli import main
from vlfusion.config import load_config
from vlfusion.engine.runner import build_runner
from vlfusion.errors import ConfigError, DataError
from vlfusion.guards.outputs import check_outputs
from vlfusion.models.backbones import FILM
from vlfusion.testing.toys import draw_pairs

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
        assert main(['fuse', 'setup.cfg', *pair, '-o', str(folder / out)]) == 2
        assert 'setup.cfg' not in capsys.readouterr().err, 'the checkpoint is not read before'
    assert main(['fuse', LAPLACIAN, pair[0], pair[0], '-o', str(folder / 'f.png')]) == 2
    assert 'are the same file' in capsys.readouterr().err


@pytest.fixture
def made(toy, tmp_path):
    """A config, its checkpoint, and what the verbs make of both."""
    config = toy()
    path = tmp_path / 'config.py'
    path.write_text('# My own.\n' + config.pretty_text)
    released = tmp_path / 'released.pth'
    network = FILM(text_dim=8, guidance_grid=(16, 32))
    torch.save({'model': network.state_dict()}, released)
    checkpoint = tmp_path / 'model.pth'
    torch.save(dict(state_dict={f'backbone.{key}': value for key, value in network.state_dict().items()},
                    meta=dict(vlfusion=dict(task='ivf', model=config.model.to_dict()))), checkpoint)
    assert main(['prepare-data', 'hdf5', str(path), '--split', 'test', '--out', str(tmp_path / 'pairs.h5')]) == 0
    (tmp_path / 'scores.csv').write_text('name,protocol,EN\np0,film.1,1\n')
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize('command', [
    'export model.pth --format torchscript --out model.pth',
    'export model.pth --format torchscript --text data/text/p0.npy --out data/text/p0.npy',
    'convert-weights FILM released.pth released.pth',
    'prepare-data pack pairs.h5 --task ivf --out pairs.h5',
    'prepare-data pack config.py --split test --out config.py',
    'prepare-data hdf5 config.py --split test --out config.py',
    'prepare-data hdf5 config.py --split test --out data/ir/p1.png',
    'test config.py model.pth --out out --cfg-options test_dataloader.dataset.source_a=../out/grey',
    'train config.py --work-dir .',
    'leaderboard A=scores.csv B=scores.csv --out scores.csv',
    'contact-sheet --source-a data/ir --source-b data/vi --out data/ir/p0.png',
    'text audit --texts words --out words/p.txt',
    'text export config.py --split test --out data',
    'text import config.py --split test --features data/text --hdf5 data/ir/p1.png',
    'text import config.py --split test --features data/text --hdf5 config.py',
    'evaluate data/ir --source-a data/ir --source-b data/vi --out mine.csv',
    'evaluate data/ir --source-a data/ir --source-b data/vi --out other.csv',
    'fuse model.pth data/ir/p0.png data/vi/p0.png --text data/text/p0.npy -o model.pth',
])
def test_no_verb_replaces_what_it_reads(made, command, monkeypatch, capsys):
    (made / 'words').mkdir()
    (made / 'words/p.txt').write_text('A street.')
    (made / 'mine.json').write_text('{"my": "notes"}')
    (made / 'other.controls.csv').write_text('my,table\n')
    shutil.copytree(made / 'data/ir', made / 'out/grey')
    before = contents(made)
    monkeypatch.chdir(made)
    assert main(command.split()) == 2, capsys.readouterr().out
    assert 'Traceback' not in capsys.readouterr().err
    after = contents(made)
    assert {path: after.get(path) for path in before} == before


def test_a_config_that_is_a_dump_may_be_replaced_by_its_dump(made, monkeypatch):
    monkeypatch.chdir(made)
    config = load_config('config.py', {'train_cfg.max_iters': 2, 'train_cfg.val_interval': 2})
    build_runner(config, 'train')
    with pytest.raises(ConfigError, match='would replace it'):
        (made / 'work/config.py').write_text('# mine\n' + (made / 'work/config.py').read_text())
        build_runner(load_config('work/config.py'), 'train')
