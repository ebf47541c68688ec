"""Reading of the training pairs of the shipped weights: crops of 128x128, rotated and mirrored at random.

Each config names its pairs. `data_root` is a folder with ivf/ mif/ mef/ mff/.
"""

data_root = 'data'

train_dataloader = dict(
    batch_size=2, num_workers=0, drop_last=True, sampler=dict(type='EpochSampler'),
    dataset=dict(
        type='PairDataset',
        pipeline=[
            dict(type='LoadPair'),
            dict(type='BothSources', transforms=[
                dict(type='RandomCrop', size=(128, 128)),
                dict(type='RandomFlip', prob=0.5),
                dict(type='RandomRotate90')]),
            dict(type='PackPair')]))
test_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairDataset', pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
