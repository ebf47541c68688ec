"""FILM for multi-exposure images by a short schedule, the first training to try: pairs of U2Fusion, or your own pairs.

Reproduces: nothing published; 500 steps are far from convergence.
Commands:   vlfusion describe film/film_mef_short
            vlfusion train film/film_mef_short
            or on your own pairs: vlfusion train --source-a DIR --source-b DIR --task mef
Cost:       500 steps: about an hour of one CPU core, as measured for film_mif_short.py, which has the same network.
Loss:       FILM's terms; intensity weighs 20 instead of 1, because with FILM's weight short training copies source A
            (zoo/film_ivf.py).
Expected:   not known; it was not trained to the end.
Not known:  the authors' losses for exposures, which were not released; what longer training gives.
"""

_base_ = ['../_base_/runtime.py', '../_base_/datasets/zoo.py', '../_base_/schedules/short.py',
          '../_base_/language/measured.py']

task = 'mef'

model = dict(
    type='FusionModel',
    backbone=dict(type='FILM', text_dim=384),
    losses=[dict(type='MeanIntensityLoss', weight=20.0), dict(type='MaxGradientLoss', weight=20.0),
            dict(type='SSIMLoss', weight=1.0)])

train_dataloader = dict(dataset=dict(
    name='U2Fusion', source_a='mef/U2Fusion/over', source_b='mef/U2Fusion/under'))
val_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='PairDataset', name='MEFB', source_a='mef/MEFB/*/{name}_B.*', source_b='mef/MEFB/*/{name}_A.*',
        pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
test_dataloader = val_dataloader
default_hooks = dict(checkpoint=dict(interval=100))
