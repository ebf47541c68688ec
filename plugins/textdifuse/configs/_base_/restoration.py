"""Degraded images (A) with the clean ones (B): data/restoration/{train,test}/{LQ,HQ}, paired by name."""

task = 'ivf'  # a name is needed; restoring has no task of its own
data_root = 'data/restoration'

train_dataloader = dict(
    batch_size=6, num_workers=2, persistent_workers=True, sampler=dict(type='EpochSampler'),
    dataset=dict(
        type='PairDataset', source_a='train/LQ', source_b='train/HQ',
        pipeline=[
            dict(type='LoadPair'),
            dict(type='BothSources', transforms=[
                dict(type='vlfusion_textdifuse.LimitShortSide', least=256, most=512),
                dict(type='RandomCrop', size=(256, 256)),
            ]),
            dict(type='PackPair'),
        ]))
val_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairDataset', source_a='test/LQ', source_b='test/HQ',
                 pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
test_dataloader = val_dataloader
