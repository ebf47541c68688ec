"""IFCNN (Zhang et al., Information Fusion 2020) trained with its two terms, on focus pairs with an all-in-focus truth.

Reproduces: the terms of the paper: squared error and a perceptual distance (features of ResNet101), both to the truth.
            Not its training: the pairs, blurred at random from NYU-D2, were not released.
Command:    vlfusion train ifcnn/ifcnn_mff_nyud
Needs:      IFCNN-MAX.pth in data/weights/ifcnn, for the frozen first layer; data/mff/NYU-D with source_1, source_2 and
            full_clear; the published weights of ResNet101, which timm fetches at the first step.
Hardware:   one GPU; the network of the perceptual term makes it slow on a CPU.
Expected:   not measured: this schedule was not run.
Not known:  the paper's steps, rate and weights of the terms; those here are ours. The paper first trains with the
            squared error only; here both terms count from the start.
"""

_base_ = ['vlfusion::_base_/runtime.py']

task = 'mff'
data_root = 'data/mff/NYU-D'
protocol = 'truncate'

train_dataloader = dict(
    batch_size=8, num_workers=2, persistent_workers=True, drop_last=True, sampler=dict(type='EpochSampler'),
    dataset=dict(
        type='PairDataset', source_a='source_1', source_b='source_2', truth='full_clear',
        pipeline=[
            dict(type='LoadPair'),
            dict(type='BothSources', transforms=[dict(type='RandomCrop', size=(224, 224)),
                                                 dict(type='RandomFlip', prob=0.5)]),
            dict(type='PackPair')]))
val_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairDataset', source_a='source_1', source_b='source_2',
                 pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
test_dataloader = val_dataloader

model = dict(
    type='FusionModel',
    backbone=dict(type='vlfusion_ifcnn.IFCNN', normalise=True, first_layer='data/weights/ifcnn/IFCNN-MAX.pth'),
    losses=[dict(type='TruthLoss', weight=1.0),
            dict(type='PerceptualLoss', weight=1.0, model='resnet101.tv_in1k', layers=(4,), target='truth')])

train_cfg = dict(type='ResumableTrainLoop', max_iters=2000, val_interval=500)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3))
param_scheduler = [dict(type='PolyLR', by_epoch=False, power=0.9, eta_min=0, end=2000)]
