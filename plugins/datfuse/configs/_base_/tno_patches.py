"""TNO pairs, cut at random into patches of 120x120 to train on and whole to test.

Training pairs lie in train/{ir,vi}, test pairs in {ir,vi}; you choose both.
"""

task = 'ivf'
data_root = 'data/ivf/TNO'

train_dataloader = dict(
    batch_size=128, num_workers=2, persistent_workers=True, drop_last=True, sampler=dict(type='EpochSampler'),
    dataset=dict(
        type='PairDataset', source_a='train/ir', source_b='train/vi',
        pipeline=[
            dict(type='LoadPair'),
            dict(type='BothSources', transforms=[dict(type='RandomCrop', size=(120, 120))]),
            dict(type='PackPair'),
        ]))
val_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairDataset', source_a='ir', source_b='vi',
                 pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
test_dataloader = val_dataloader
