"""U2Fusion (Xu et al., TPAMI 2022), trained only on multi-exposure pairs: SICE in the layout of the VLF dataset.

Reproduces: the loss and optimizer of the authors' code for the second of its three tasks, without elastic weight
            consolidation, whose weight in the released script is 0.
Command:    vlfusion train u2fusion/u2fusion_mef_sice
Needs:      Image/MEF/SICE of the VLF dataset under data/VLFDataset; VGG-16, which torchvision fetches (528 MB).
Expected:   not known: this training has not been run.
Not known:  how many patches an epoch has (the released code shows 852 steps for two epochs of its third task);
            whether torchvision's VGG-16 gives the degrees of the authors' file.
"""

_base_ = ['vlfusion::_base_/runtime.py']

task = 'mef'
data_root = 'data/VLFDataset'
protocol = 'plain'

train_dataloader = dict(
    batch_size=18, num_workers=2, persistent_workers=True, drop_last=True, sampler=dict(type='EpochSampler'),
    dataset=dict(
        type='PairDataset', source_a='Image/MEF/SICE/OVER', source_b='Image/MEF/SICE/UNDER',
        names='Image/MEF/SICE/train.txt',
        pipeline=[
            dict(type='LoadPair'),
            dict(type='BothSources', transforms=[
                dict(type='RandomCrop', size=(64, 64)),
                dict(type='vlfusion_u2fusion.SwapSources'),
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
    backbone=dict(type='vlfusion_u2fusion.U2Fusion'),
    losses=[dict(type='vlfusion_u2fusion.InformationPreservationLoss', alpha=20.0, c=3500.0)])

train_cfg = dict(type='ResumableTrainLoop', max_iters=852, val_interval=426)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='RMSprop', lr=1e-4, alpha=0.6, momentum=0.15))
