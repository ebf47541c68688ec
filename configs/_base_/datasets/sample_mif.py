"""Simulated MRI-PET pairs made by `vlfusion prepare-data sample`, for trying things out.

Numbers computed on them say nothing about the quality of a method.
"""

task = 'mif'
data_root = 'data/sample/mif'

train_pipeline = [
    dict(type='LoadPair'),
    dict(type='BothSources', transforms=[
        dict(type='RandomCrop', size=(64, 64)),
        dict(type='RandomFlip', prob=0.5),
        dict(type='RandomRotate90'),
    ]),
    dict(type='PackPair'),
]
test_pipeline = [dict(type='LoadPair'), dict(type='PackPair')]

train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='EpochSampler'),
    dataset=dict(type='PairDataset', name='simulated_mif', source_a='train/MRI', source_b='train/PET', modality_b='PET',
                 pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairDataset', name='simulated_mif', source_a='test/MRI', source_b='test/PET', modality_b='PET',
                 pipeline=test_pipeline))
test_dataloader = val_dataloader
