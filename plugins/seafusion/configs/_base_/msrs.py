"""MSRS in the layout of its authors: {train,test}/{ir,vi}, 640x480; 1083 pairs to train on and 361 to test.

Training sees whole images, as the released SeAFusion does.
"""

task = 'ivf'
data_root = 'data/MSRS'

pipeline = [dict(type='LoadPair'), dict(type='PackPair')]
train_dataloader = dict(
    batch_size=8, num_workers=2, persistent_workers=True, drop_last=True, sampler=dict(type='EpochSampler'),
    dataset=dict(type='PairDataset', source_a='train/ir', source_b='train/vi', pipeline=pipeline))
val_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairDataset', source_a='test/ir', source_b='test/vi', pipeline=pipeline))
test_dataloader = val_dataloader
