"""Toy pairs, features and steps depend on the seed alone."""

import cv2
import numpy as np
import pytest

from vlfusion.testing.toys import draw_pairs, take_one_step, write_features


def test_drawn_pairs_are_grey_and_colour_and_depend_on_the_seed_alone(tmp_path):
    for folder, seed in (('a', 0), ('again', 0), ('b', 1)):
        draw_pairs(tmp_path / folder, ['p0', 'p1'], 'MRI', 'PET', size=(20, 31), seed=seed)
    grey, colour = (cv2.imread(str(tmp_path / f'a/{source}/p1.png'), cv2.IMREAD_UNCHANGED) for source in ('MRI', 'PET'))
    assert grey.shape == (20, 31) and colour.shape == (20, 31, 3) and (grey.min(), grey.max()) == (0, 255)
    read = {folder: (tmp_path / folder / 'MRI/p1.png').read_bytes() for folder in ('a', 'again', 'b')}
    assert read['a'] == read['again'] != read['b']


def test_features_have_three_to_six_tokens(tmp_path):
    names = [f'p{i}' for i in range(12)]
    write_features(tmp_path / 'text', names, dim=5)
    features = [np.load(tmp_path / f'text/{name}.npy') for name in names]
    assert {feature.shape[1] for feature in features} == {3, 4, 5, 6}
    assert {(feature.shape[0], feature.shape[2], feature.dtype) for feature in features} == {(1, 5, np.dtype('f4'))}


@pytest.mark.slow
def test_one_step_of_a_config_writes_a_checkpoint(tmp_path):
    options = {'model.backbone.guidance_grid': (16, 32), 'model.backbone.text_dim': 8}
    write_features(tmp_path / 'text', ['p0', 'p1'])
    config = tmp_path / 'config.py'
    config.write_text('''
default_scope = 'vlfusion'
task = 'ivf'
data_root = ''
model = dict(type='FusionModel', backbone=dict(type='FILM'), losses=[dict(type='MaxIntensityLoss')])
pairs = dict(type='PairDataset', source_a='ir', source_b='vi', text_source=dict(files='text/{name}.npy'),
             pipeline=[dict(type='LoadPair'), dict(type='PackPair')])
train_dataloader = dict(batch_size=2, sampler=dict(type='EpochSampler'), dataset=pairs)
val_dataloader = dict(batch_size=1, sampler=dict(type='DefaultSampler', shuffle=False), dataset=pairs)
val_evaluator = dict(type='FusionEvaluator', names=['EN'])
train_cfg = dict(type='ResumableTrainLoop', max_iters=9, val_interval=9)
val_cfg = dict(type='ValLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3))
default_hooks = dict(logger=dict(type='LoggerHook', interval=9, log_metric_by_epoch=False),
                     checkpoint=dict(type='SafeCheckpointHook', by_epoch=False, interval=9))
log_processor = dict(by_epoch=False)
test_dataloader = val_dataloader
test_evaluator = val_evaluator
test_cfg = dict(type='TestLoop')
''')
    assert take_one_step(config, tmp_path, (48, 56), **options).is_file()
