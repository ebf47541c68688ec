"""Registered pairs: random patches of 120x120 to train on, whole images to validate; each config names the folders."""

train_dataloader = dict(
    batch_size=32, num_workers=2, persistent_workers=True, drop_last=True, sampler=dict(type='EpochSampler'),
    dataset=dict(
        type='PairDataset',
        pipeline=[
            dict(type='LoadPair'),
            dict(type='BothSources', transforms=[dict(type='RandomCrop', size=(120, 120))]),
            dict(type='PackPair'),
        ]))
val_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairDataset', pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
test_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairDataset', pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))

# The authors' number of patches is not known, so neither is their number of steps: this one is ours.
train_cfg = dict(type='ResumableTrainLoop', max_iters=10000, val_interval=1000)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4))
