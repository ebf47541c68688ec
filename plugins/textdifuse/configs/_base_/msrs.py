"""MSRS in the layout of its authors: data/MSRS/{train,test}/{ir,vi}, 1083 and 361 pairs of 640x480.

Training scales images to a shorter side of 320 pixels and crops 320x320.
"""

task = 'ivf'
data_root = 'data/MSRS'

train_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True, sampler=dict(type='EpochSampler'),
    dataset=dict(
        type='PairDataset', source_a='train/ir', source_b='train/vi',
        pipeline=[
            dict(type='LoadPair'),
            dict(type='BothSources', transforms=[
                dict(type='vlfusion_textdifuse.LimitShortSide', least=320, most=320),
                dict(type='RandomCrop', size=(320, 320)),
            ]),
            dict(type='PackPair'),
        ]))
val_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairDataset', source_a='test/ir', source_b='test/vi',
                 pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
test_dataloader = val_dataloader
