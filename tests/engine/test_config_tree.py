"""Mistakes anywhere in a config are named by their dotted key."""

from functools import reduce
from operator import getitem
from pathlib import Path

import pytest
from mmengine.config import Config

from vlfusion.config import load_config
from vlfusion.engine.config_tree import check_experiment
from vlfusion.errors import ConfigError, UnknownNameError

ROOT = Path(__file__).parents[2]
CONFIGS = [path for path in sorted([*ROOT.glob('configs/*/*.py'), *ROOT.glob('plugins/*/configs/*.py')])
           if path.parent.name not in ('_base_', 'benchmark')]


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_ships_is_sound(path):
    check_experiment(load_config(path))


@pytest.fixture(scope='module')
def config():
    """A function that gives one shipped config with changes at dotted keys."""
    whole = load_config(ROOT / 'configs/film/film_ivf_sample.py').to_dict()

    def config(changes):
        changed = Config(whole)
        for key, value in changes.items():
            *path, last = [int(name) if name.isdigit() else name for name in key.split('.')]
            reduce(getitem, path, changed)[last] = value
        return changed
    return config


@pytest.mark.parametrize(('key', 'value', 'said'), [
    ('train_dataloader.batch_size', 'two', 'train_dataloader.batch_size'),
    ('train_dataloader.batch_size', 0, 'train_dataloader.batch_size is 0'),
    ('train_dataloader.batch_size', -3, 'train_dataloader.batch_size is -3'),
    ('train_dataloader.batch_size', 1.5, 'train_dataloader.batch_size'),
    ('train_dataloader.batch_sise', 4, "no argument 'batch_sise' .train_dataloader"),
    ('val_dataloader.num_workers', -1, 'val_dataloader.num_workers is -1'),
    ('val_dataloader.num_workers', None, 'val_dataloader.num_workers'),
    ('train_dataloader.dataset.pipeline', [], 'train_dataloader.dataset.pipeline is empty'),
    ('train_dataloader.dataset', 'PairDataset', 'train_dataloader.dataset is'),
    ('train_dataloader.dataset.sourc_a', 'ir', "'sourc_a' .train_dataloader.dataset"),
    ('train_dataloader.dataset.check', 'yes', "train_dataloader.dataset.check is 'yes'; expected bool"),
    ('train_dataloader.dataset.pipeline.0.lumi', 'x', r"'lumi' .train_dataloader.dataset.pipeline\[0\]"),
    ('train_dataloader.sampler.shufle', True, "'shufle' .train_dataloader.sampler"),
    ('train_dataloader', 'x', "train_dataloader is 'x'"), ('train_dataloader', [], 'train_dataloader is'),
    ('train_cfg.max_itres', 3, "'max_itres' .train_cfg"), ('train_cfg.max_iters', -3, 'train_cfg.max_iters is -3'),
    ('train_cfg.max_iters', 'many', 'train_cfg.max_iters'),
    ('train_cfg.val_interval', 0, 'train_cfg.val_interval is 0'),
    ('val_cfg.fp61', True, "'fp61' .val_cfg"), ('test_cfg', 3, 'test_cfg is 3'),
    ('optim_wrapper.clip', dict(max_norm=1), "'clip' .optim_wrapper"), ('optim_wrapper', [], 'optim_wrapper is'),
    ('optim_wrapper.optimizer.lrr', 1e-4, "'lrr' .optim_wrapper.optimizer"),
    ('optim_wrapper.accumulative_counts', 0, 'accumulative_counts is 0'),
    ('param_scheduler', [dict(type='StepLR', step_size=3, gama=1)], r"'gama' .param_scheduler\[0\]"),
    ('param_scheduler', 'StepLR', 'param_scheduler is'),
    ('default_hooks.checkpoint.intervall', 5, "'intervall' .default_hooks.checkpoint"),
    ('default_hooks.checkpoint.keep', 5, "'keep' .default_hooks.checkpoint"),
    ('default_hooks.checkpoint.interval', 'often', 'default_hooks.checkpoint.interval'),
    ('default_hooks.logger.intervall', 5, "'intervall' .default_hooks.logger"),
    ('default_hooks', [], 'default_hooks is'),
    ('custom_hooks', [dict(type='ProgressHook', every=3)], r"'every' .custom_hooks\[0\]"),
    ('custom_hooks', dict(type='ProgressHook'), 'custom_hooks is'),
    ('val_evaluator.nams', ['EN'], "'nams' .val_evaluator"), ('val_evaluator.names', 'EN', 'val_evaluator.names'),
    ('test_evaluator', 'EN', "test_evaluator is 'EN'"),
    ('visualizer.vis_backend', [], "'vis_backend' .visualizer"),
    ('visualizer.vis_backends', [dict(type='LocalVisBackend', folder='x')], r"'folder' .visualizer.vis_backends\[0\]"),
    ('log_processor.window', 3, "'window' .log_processor"), ('randomness', 3, 'randomness is 3'),
    ('randomness.seed', 'x', "randomness.seed is 'x'"), ('randomness.seed', -1, 'randomness.seed is -1'),
    ('model.backbone.dimm', 8, "'dimm' .model.backbone"), ('model.backbone.dim', 'x', 'model.backbone.dim'),
    ('model.losses.0.wieght', 8, r"'wieght' .model.losses\[0\]"), ('model.lossess', [], "'lossess' .model"),
    ('model', 'FILM', "model is 'FILM'"), ('model.backbone', 'FILM', 'model.backbone'),
    ('work_dir', 3, 'work_dir is 3'),
    ('model.type', ['x'], 'model.type'), ('task', ['ivf'], 'task is'), ('protocol', {}, 'protocol is'),
    ('model.losses', dict(type='MaxIntensityLoss'), 'model.losses'),
])
def test_the_dotted_key_is_named(config, key, value, said):
    with pytest.raises(ConfigError, match=said):
        check_experiment(config({key: value}))


@pytest.mark.parametrize('key', ['model', 'model.backbone', 'model.losses.0', 'train_dataloader.dataset',
                                 'train_dataloader.dataset.pipeline.0', 'train_dataloader.sampler', 'train_cfg',
                                 'optim_wrapper.optimizer', 'default_hooks.checkpoint', 'val_evaluator', 'visualizer'])
def test_a_name_that_nothing_registers(config, key):
    with pytest.raises(UnknownNameError, match='NoSuch'):
        check_experiment(config({f'{key}.type': 'NoSuch'}))


def test_what_mmengine_takes_by_itself(config):
    check_experiment(config({
        'optim_wrapper.paramwise_cfg': dict(norm_decay_mult=0.), 'train_cfg.val_begin': 0,
        'custom_hooks': [dict(type='EMAHook', momentum=0.1)], 'default_hooks.checkpoint.save_optimizer': False,
        'param_scheduler': [dict(type='CosineAnnealingLR', T_max=3, convert_to_iter_based=True)]}))
