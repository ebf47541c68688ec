"""LDFusion's loss (Wang et al., ACM MM 2025) on RoadScene, with a small backbone instead of LDFusion's.

Reproduces: weights, crops, batches and schedule of the released loss. The network is not part of this plugin; any
            backbone can be named here. Two terms on pixels replace the perceptual term.
Commands:   vlfusion train clip_directional/clip_directional_roadscene
            vlfusion fuse CHECKPOINT IR/ VI/ -o fused/
Needs:      RoadScene, 171 pairs to train on and 50 to test: `vlfusion data get RoadScene`; CLIP
            ViT-B/32 of open_clip, which is fetched at the first step; `pip install --editable plugins/hello_fusion`.
Expected:   not known: this config was not trained to the end.
"""

_base_ = ['vlfusion::_base_/runtime.py']

task = 'ivf'
data_root = 'data/ivf'
model = dict(
    type='FusionModel',
    backbone=dict(type='vlfusion_hello.HelloNet', dim=32),
    losses=[dict(type='vlfusion_clip_directional.CLIPDirectionalLoss', global_weight=2.0, patch_weight=10.0,
                 similarity_weight=6.0, patches=32),
            dict(type='MaxIntensityLoss', weight=1.0), dict(type='MaxGradientLoss', weight=10.0)])

train_dataloader = dict(
    batch_size=16, num_workers=2, persistent_workers=True, drop_last=True, sampler=dict(type='EpochSampler'),
    dataset=dict(type='PairDataset', source_a='RoadScene_train/ir', source_b='RoadScene_train/vi',
                 name='RoadScene_train', pipeline=[
                     dict(type='LoadPair'),
                     dict(type='BothSources', transforms=[dict(type='RandomCrop', size=(224, 224)),
                                                          dict(type='RandomFlip', prob=0.5)]),
                     dict(type='PackPair')]))
val_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairDataset', source_a='RoadScene/ir', source_b='RoadScene/vi', name='RoadScene',
                 pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
test_dataloader = val_dataloader

# An epoch is ten passes through the pairs, 106 steps. The first is a warm-up; from the fiftieth on the rate is halved.
train_cfg = dict(type='ResumableTrainLoop', max_iters=100 * 106, val_interval=10 * 106)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=5e-4))
param_scheduler = [dict(type='LinearLR', by_epoch=False, start_factor=0.01, begin=0, end=106),
                   dict(type='MultiStepLR', by_epoch=False, gamma=0.5,
                        milestones=[epoch * 106 for epoch in (50, 60, 70, 80, 90)])]
