"""MSRS in the layout of its authors: data/MSRS/{train,test}/{ir,vi}, 1083 and 361 pairs of 640x480.

Training sees patches, six per image without those of low contrast; testing sees whole images.
"""

task = 'ivf'
data_root = 'data/MSRS'

train_dataloader = dict(
    batch_size=8, num_workers=2, persistent_workers=True, drop_last=True, sampler=dict(type='EpochSampler'),
    dataset=dict(type='vlfusion_cddfuse.PatchDataset', source_a='train/ir', source_b='train/vi', size=128, stride=200,
                 pipeline=[dict(type='PackPair')]))
val_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairDataset', source_a='test/ir', source_b='test/vi',
                 pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
test_dataloader = val_dataloader
