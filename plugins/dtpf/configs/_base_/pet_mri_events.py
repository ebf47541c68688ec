"""PET with MRI of Harvard, 256x256, 245 pairs to train on and 24 to test, with events of medical images.

`vlfusion data get Harvard` fetches the pairs.
"""

_base_ = ['events.py']

task = 'mif'
data_root = 'data/mif/Harvard'
language = dict(prompt='medical_events')

train_dataloader = dict(dataset=dict(source_a='PET-MRI/train/MRI', source_b='PET-MRI/train/PET', modality_b='PET'))
val_dataloader = dict(dataset=dict(source_a='PET-MRI/test/MRI', source_b='PET-MRI/test/PET', modality_b='PET'))
test_dataloader = dict(_base_.val_dataloader, dataset=dict(
    _base_.val_dataloader.dataset, source_a='PET-MRI/test/MRI', source_b='PET-MRI/test/PET', modality_b='PET'))

# The terms, with the weights of the default event.
terms = [dict(type='MaxIntensityLoss', weight=40.0), dict(type='vlfusion_dtpf.ConsistencyLoss', weight=80.0),
         dict(type='AxisGradientLoss', weight=72.0), dict(type='SSIMLoss', weight=4.0, window=48)]
