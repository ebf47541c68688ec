"""GIFNet's training set: infrared and visible images, and near- and far-focused copies of the visible ones."""

task = 'ivf'
data_root = 'data/ivf/GIFNet'

train_dataloader = dict(
    batch_size=8, num_workers=2, persistent_workers=True, sampler=dict(type='EpochSampler'),
    dataset=dict(type='PairDataset', name='GIFNet', source_a='infrared/train', source_b='visible/train',
                 pipeline=[dict(type='LoadPair'), dict(type='vlfusion_gifnet.LoadFocusPair'),
                           dict(type='vlfusion_gifnet.PackFocusPair')]))
val_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairDataset', name='GIFNet', source_a='infrared/test', source_b='visible/test',
                 pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
test_dataloader = val_dataloader
