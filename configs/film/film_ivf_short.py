"""FILM for infrared and visible images by a short schedule, the first training to try: RoadScene, or your own pairs.

Reproduces: nothing published; 500 steps are far from convergence.
Commands:   vlfusion describe film/film_ivf_short
            vlfusion train film/film_ivf_short
            or on your own pairs: vlfusion train --source-a DIR --source-b DIR --task ivf
Cost:       500 steps: about an hour of one CPU core, as measured for film_mif_short.py, which has the same network.
Loss:       FILM's terms; intensity weighs 20 instead of 1, because with FILM's weight short training copies source A
            (zoo/film_ivf.py).
Expected:   not known; it was not trained to the end.
Not known:  what longer training gives; a second seed.
"""

_base_ = ['../_base_/runtime.py', '../_base_/datasets/zoo.py', '../_base_/schedules/short.py',
          '../_base_/language/measured.py']

task = 'ivf'

model = dict(
    type='FusionModel',
    backbone=dict(type='FILM', text_dim=384),
    losses=[dict(type='MaxIntensityLoss', weight=20.0), dict(type='MaxGradientLoss', weight=20.0)])

train_dataloader = dict(dataset=dict(
    name='RoadScene', source_a='ivf/RoadScene_train/ir', source_b='ivf/RoadScene_train/vi'))
val_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='PairDataset', name='RoadScene', source_a='ivf/RoadScene/ir', source_b='ivf/RoadScene/vi',
        pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
test_dataloader = val_dataloader
default_hooks = dict(checkpoint=dict(interval=100))
