"""Checkpoints are written whole, as plain data, through MMEngine."""

import os
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from vlfusion.engine import compat
from vlfusion.engine.compat import AtomicBackend, PlainCheckpointHook, SafeCheckpointHook
from vlfusion.engine.runner import build_runner
from vlfusion.errors import CheckpointError


def test_checkpoints_are_plain_and_come_back():
    checkpoint = dict(message_hub=dict(log_scalars={'train/loss': HistoryBuffer([1.0, 2.0], [1, 1])},
                                       runtime_info=dict(best_score=np.float64(0.5))), meta=dict(iter=np.int64(3)))
    hook = PlainCheckpointHook()
    hook.before_save_checkpoint(None, checkpoint)
    assert checkpoint['message_hub']['log_scalars'] == {'train/loss': [[1.0, 2.0], [1, 1]]}
    assert type(checkpoint['meta']['iter']) is int
    assert type(checkpoint['message_hub']['runtime_info']['best_score']) is float
    hook.after_load_checkpoint(None, checkpoint)
    assert checkpoint['message_hub']['log_scalars']['train/loss'].mean() == 1.5


def test_atomic_write_keeps_the_old_file_when_it_fails(tmp_path, full_disk):
    path = tmp_path / 'model.pth'
    AtomicBackend().put(b'old', path)
    with pytest.raises(OSError) as caught:
        AtomicBackend().put(bytes(9999), path)
    assert caught.value.filename == str(path)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [('model.pth', b'old')]


@pytest.mark.parametrize(('rank', 'gpus', 'chosen'), [('3', 1, '0'), ('3', 8, '3')])
def test_a_process_that_sees_its_own_gpu_only_takes_it(monkeypatch, rank, gpus, chosen):
    monkeypatch.setenv('LOCAL_RANK', rank)
    monkeypatch.setattr('torch.cuda.device_count', lambda: gpus)
    compat.choose_gpu()
    assert os.environ['LOCAL_RANK'] == chosen


@pytest.mark.slow
def test_the_best_checkpoint_outlives_the_writing_of_its_successor(toy, monkeypatch):
    """While a new best is written, the previous best is still there."""
    seen = []
    save = compat.AtomicBackend.put

    def watch(self, obj, filepath):
        if Path(filepath).name.startswith('best'):
            seen.append(sorted(path.name for path in toy.work.glob('best_*.pth')))
        save(self, obj, filepath)
    monkeypatch.setattr(compat.AtomicBackend, 'put', watch)
    config = toy(**{'train_cfg.max_iters': 2, 'train_cfg.val_interval': 1})
    config.default_hooks.checkpoint.save_best = 'EN'
    monkeypatch.setattr(SafeCheckpointHook, 'rule_map', dict.fromkeys(('greater', 'less'), lambda new, old: True))
    build_runner(config, 'train').train()
    assert seen == [[], ['best_EN_iter_1.pth']]
    assert [path.name for path in toy.work.glob('best_*.pth')] == ['best_EN_iter_2.pth']


@pytest.mark.slow
def test_two_runs_of_one_second_share_nothing(toy):
    first, second = (build_runner(toy(**{'train_cfg.max_iters': 1}), 'train') for _ in range(2))
    assert first.message_hub is not second.message_hub and first.logger is not second.logger
    torch.testing.assert_close(first.model.state_dict(), second.model.state_dict())  # one seed, one initialisation


def test_numbers_of_numpy_do_not_keep_a_released_file_from_loading(tmp_path):
    numbers = {'loss': np.float64(0.25), 'steps': np.int64(3), 'rate': np.float32(0.5)}
    torch.save({'model': {'w': torch.ones(2)}, **numbers}, tmp_path / 'released.pth')
    loaded = compat.load_checkpoint_file(tmp_path / 'released.pth')
    assert {name: loaded[name] for name in numbers} == numbers and loaded['model']['w'].sum() == 2


def test_options_of_a_script_do_not_keep_a_released_file_from_loading(tmp_path):
    torch.save({'model': {'w': torch.ones(2)}, 'args': Namespace(lr=1e-4, name='x')}, tmp_path / 'released.pth')
    loaded = compat.load_checkpoint_file(tmp_path / 'released.pth')
    assert loaded['args'] == Namespace(lr=1e-4, name='x') and loaded['model']['w'].sum() == 2
    torch.save({'args': Namespace(command=print)}, tmp_path / 'bomb.pth')
    with pytest.raises(CheckpointError, match='bomb.pth was refused'):
        compat.load_checkpoint_file(tmp_path / 'bomb.pth')


@pytest.fixture
def train(toy, monkeypatch):
    """Trains for some steps; the checkpoint of each is better than the last."""
    monkeypatch.setattr(SafeCheckpointHook, 'rule_map', dict.fromkeys(('greater', 'less'), lambda new, old: True))

    def run(steps, **options):
        config = toy(**{'train_cfg.max_iters': steps, 'train_cfg.val_interval': 1, **options})
        config.default_hooks.checkpoint |= dict(save_best='EN', interval=1)
        build_runner(config, 'train').train()
    return run


@pytest.mark.slow
def test_a_checkpoint_that_is_resumed_runs_no_code_and_deletes_no_file_outside(toy, train, tmp_path):
    train(1)
    mine = tmp_path / 'mine.pth'
    mine.touch()
    (toy.work / 'iter_').mkdir()
    checkpoint = torch.load(toy.work / 'iter_1.pth', weights_only=True)
    checkpoint['meta']['config'] = f'open({str(tmp_path / "ran")!r}, "w")'
    checkpoint['message_hub']['runtime_info'] |= dict(best_ckpt=str(mine), keep_ckpt_ids=['/../../mine', 1, 2])
    torch.save(checkpoint, toy.work / 'iter_1.pth')
    train(2, resume=True)
    assert mine.exists() and not (tmp_path / 'ran').exists()


@pytest.mark.slow
def test_the_best_checkpoint_of_a_work_dir_that_was_moved_is_replaced(toy, train):
    train(1)
    moved = toy.work.rename(toy.work.with_name('moved'))
    train(2, resume=True, work_dir=str(moved))
    assert [path.name for path in moved.glob('best_*.pth')] == ['best_EN_iter_2.pth']
