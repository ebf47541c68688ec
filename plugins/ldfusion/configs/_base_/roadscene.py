"""RoadScene (Xu et al.), infrared and visible road scenes: views of 224x224 pixels to train on, whole pairs to test.

Schedule: Adam at 5e-4 for 100 epochs, each ten passes through the pairs. The first epoch is a warm-up; from the
fiftieth on, the rate is halved every ten epochs.
"""

task = 'ivf'
data_root = 'data/ivf'

train_dataloader = dict(
    batch_size=16, num_workers=2, persistent_workers=True, drop_last=True, sampler=dict(type='EpochSampler'),
    dataset=dict(type='PairDataset', source_a='RoadScene_train/ir', source_b='RoadScene_train/vi',
                 name='RoadScene_train', pipeline=[
                     dict(type='LoadPair'),
                     dict(type='BothSources', transforms=[dict(type='vlfusion_ldfusion.RandomView', size=224)]),
                     dict(type='PackPair')]))
val_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairDataset', source_a='RoadScene/ir', source_b='RoadScene/vi', name='RoadScene',
                 pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
test_dataloader = val_dataloader

# The 171 pairs make 106 steps an epoch. As it is, the released script takes the rate's steps in its first epoch only,
# so its rate stays at 5e-4: for that, leave the second scheduler out.
train_cfg = dict(type='ResumableTrainLoop', max_iters=100 * 106, val_interval=10 * 106)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=5e-4))
param_scheduler = [dict(type='LinearLR', by_epoch=False, start_factor=1 / 106, begin=0, end=106),
                   dict(type='MultiStepLR', by_epoch=False, gamma=0.5,
                        milestones=[epoch * 106 for epoch in (50, 60, 70, 80, 90)])]
