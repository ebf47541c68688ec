"""RoadScene (Xu et al.): 171 infrared-visible pairs to train on, 50 to validate and to test.

A config with this base adds the training pipeline, with crops of one size, and the batch size. `vlfusion data get
RoadScene` fetches the pairs.
"""

task = 'ivf'
data_root = 'data/ivf'

train_dataloader = dict(
    batch_size=8, num_workers=2, persistent_workers=True, drop_last=True, sampler=dict(type='EpochSampler'),
    dataset=dict(type='PairDataset', source_a='RoadScene_train/ir', source_b='RoadScene_train/vi',
                 name='RoadScene_train'))
val_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairDataset', source_a='RoadScene/ir', source_b='RoadScene/vi', name='RoadScene',
                 pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
test_dataloader = val_dataloader
