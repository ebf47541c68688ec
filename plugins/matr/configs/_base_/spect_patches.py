"""The SPECT-MRI pairs of Harvard, cut at random into patches of 120x120 to train on and whole to test.

The folders are those of `configs/_base_/datasets/harvard.py`.
"""

task = 'mif'
data_root = 'data/mif/Harvard'

train_dataloader = dict(
    batch_size=64, num_workers=2, persistent_workers=True, drop_last=True, sampler=dict(type='EpochSampler'),
    dataset=dict(
        type='PairDataset', source_a='SPECT-MRI/train/MRI', source_b='SPECT-MRI/train/SPECT', modality_b='SPECT',
        pipeline=[
            dict(type='LoadPair'),
            dict(type='BothSources', transforms=[dict(type='RandomCrop', size=(120, 120))]),
            dict(type='PackPair'),
        ]))
val_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='PairDataset', source_a='SPECT-MRI/test/MRI', source_b='SPECT-MRI/test/SPECT', modality_b='SPECT',
        pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
test_dataloader = val_dataloader
