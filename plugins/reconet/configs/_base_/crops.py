"""Infrared-visible pairs, crops of 320x320 to train on and whole to validate; you choose both.

Training pairs lie in train/{ir,vi}, others in {ir,vi}. The authors' crops also vary in scale and shape before resizing;
here images of at least 320 rows and columns are cropped without resizing.
"""

task = 'ivf'
data_root = 'data/ivf/TNO'

train_dataloader = dict(
    batch_size=32, num_workers=2, persistent_workers=True, drop_last=True, sampler=dict(type='EpochSampler'),
    dataset=dict(
        type='PairDataset', source_a='train/ir', source_b='train/vi',
        pipeline=[
            dict(type='LoadPair'),
            dict(type='BothSources', transforms=[dict(type='RandomCrop', size=(320, 320))]),
            dict(type='PackPair'),
        ]))
val_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairDataset', source_a='ir', source_b='vi',
                 pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
test_dataloader = val_dataloader
