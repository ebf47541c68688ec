"""Lines of `fuse` on the model: data, steps and task of its training, as far as the checkpoint tells."""

import pytest
import torch

from vlfusion import Fuser
from vlfusion.cli import main
from vlfusion.engine.origin import origin
from vlfusion.engine.runner import build_runner

FILM = dict(task='mif', model=dict(type='FusionModel', backbone=dict(type='FILM')))
FOR = 'FILM for mif (medical image fusion)'
TRAINED = 'FILM, trained for mif (medical image fusion): '


@pytest.mark.parametrize(('meta', 'words'), [
    ({}, f'{FOR}; the checkpoint does not say how it was trained'),
    (dict(iter=1), f'{TRAINED}1 step'),
    (dict(iter=40, dataset_meta=dict(name='simulated_mif')), f'{TRAINED}40 steps on simulated_mif'),
    (dict(iter=81150, dataset_meta=dict(name='MSRS'), training=dict(pairs=1083)),
     f'{TRAINED}81,150 steps on MSRS (1,083 pairs)'),
    (dict(released=['DF_encoder.pth', 'DF_decoder.pth']), f'{FOR}, released weights of DF_encoder.pth, DF_decoder.pth'),
    (dict(iter='9', dataset_meta='MSRS', training=3), f'{FOR}; the checkpoint does not say how it was trained'),
    (dict(iter=9, dataset_meta=dict(name=['a']), training=dict(pairs='many')), f"{TRAINED}9 steps on ['a']"),
    (dict(iter=9, dataset_meta=dict(name='\x1b[2Jx\ny')), f'{TRAINED}9 steps on \\x1b[2Jx y'),
    (dict(iter=9, dataset_meta=dict(name='x' * 500)), f'{TRAINED}9 steps on {"x" * 77}...'),
])
def test_the_origin_in_words(meta, words):
    assert origin(FILM, meta) == words


@pytest.mark.slow
def test_a_training_leaves_its_origin_and_fuse_says_it(toy, tmp_path, capsys):
    once = {'train_cfg.max_iters': 1, 'val_dataloader': None, 'val_cfg': None, 'val_evaluator': None}
    build_runner(toy(**once), 'train').train()
    words = 'FILM, trained for ivf (infrared-visible fusion): 1 step on data (5 pairs)'
    checkpoint, notes = toy.work / 'iter_1.pth', []
    assert Fuser(checkpoint, note=notes.append).origin == words and not notes
    assert Fuser(checkpoint, task='mif', note=notes.append).origin == words
    assert notes == ['The model was trained for ivf, but is used for mif.']
    capsys.readouterr()
    command = ['fuse', str(checkpoint), str(toy.data / 'ir/p0.png'), str(toy.data / 'vi/p0.png'), '--text',
               str(toy.data / 'text/p0.npy'), '-o', str(tmp_path / 'fused.png'), '--task', 'mif']
    assert main(command) == 0
    err = capsys.readouterr().err
    assert f'Model: {words}.' in err and 'used for mif' in err
    assert 'Grey levels by the protocol film, colour by the rule visible.' in err


def test_a_checkpoint_that_says_its_origin_itself_is_not_believed(tmp_path):
    torch.save(dict(state_dict={}, meta=dict(vlfusion=dict(
        task='ivf', origin='the best model ever', model=dict(type='FusionModel', backbone=dict(
            type='vlfusion_classical.LaplacianPyramid'))))), tmp_path / 'model.pth')
    pytest.importorskip('vlfusion_classical', reason='pip install --editable plugins/classical')
    assert 'does not say how it was trained' in Fuser(tmp_path / 'model.pth').origin
