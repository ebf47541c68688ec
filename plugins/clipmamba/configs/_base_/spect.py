"""The SPECT-MRI pairs of Harvard, whole: 256x256.

The folders are those of `configs/_base_/datasets/harvard.py`.
"""

task = 'mif'
data_root = 'data/mif/Harvard'

pipeline = [dict(type='LoadPair'), dict(type='PackPair')]
train_dataloader = dict(
    batch_size=16, num_workers=2, persistent_workers=True, drop_last=True, sampler=dict(type='EpochSampler'),
    dataset=dict(type='PairDataset', source_a='SPECT-MRI/train/MRI', source_b='SPECT-MRI/train/SPECT',
                 modality_b='SPECT', pipeline=pipeline))
val_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairDataset', source_a='SPECT-MRI/test/MRI', source_b='SPECT-MRI/test/SPECT',
                 modality_b='SPECT', pipeline=pipeline))
test_dataloader = val_dataloader
