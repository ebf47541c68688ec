"""FFMEF (Zheng et al., CVPR workshops 2023), multi-exposure: SICE in the layout of the VLF dataset, without text.

Reproduces: the released loss, optimizer and number of epochs (29 of SICE's pairs in batches of 2).
Command:    vlfusion train ffmef/ffmef_mef_sice
Needs:      Image/MEF/SICE of the VLF dataset under data/VLFDataset.
Expected:   not known: this training has not been run. With about one seed in five, nearly all of the first output is
            clamped and has no gradient. If the loss does not fall, use another seed (randomness.seed).
Not known:  the number of pairs, so 180 steps per epoch are a guess; the effect of the released random crop (half to all
            of the image, resized to 320x320): here the whole image is resized to 320x320.
"""

_base_ = ['vlfusion::_base_/runtime.py']

task = 'mef'
data_root = 'data/VLFDataset'
protocol = 'truncate'

train_dataloader = dict(
    batch_size=2, num_workers=2, persistent_workers=True, drop_last=True, sampler=dict(type='EpochSampler'),
    dataset=dict(
        type='PairDataset', source_a='Image/MEF/SICE/OVER', source_b='Image/MEF/SICE/UNDER',
        names='Image/MEF/SICE/train.txt',
        pipeline=[
            dict(type='LoadPair', luminance='bt601'),
            dict(type='BothSources', transforms=[
                dict(type='Resize', scale=(320, 320)),
                dict(type='RandomFlip', prob=0.5),
                dict(type='RandomFlip', prob=0.5, direction='vertical'),
            ]),
            dict(type='PackPair'),
        ]))
val_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairDataset', source_a='Image/MEF/SICE/OVER', source_b='Image/MEF/SICE/UNDER',
                 names='Image/MEF/SICE/test.txt', pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
test_dataloader = val_dataloader

model = dict(
    type='FusionModel',
    backbone=dict(type='vlfusion_ffmef.FFMEF', first='b'),
    losses=[dict(type='vlfusion_ffmef.GradientFidelityLoss')])

train_cfg = dict(type='ResumableTrainLoop', max_iters=29 * 180, val_interval=5 * 180)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3))
