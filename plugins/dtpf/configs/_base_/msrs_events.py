"""MSRS in the layout of its authors, data/MSRS/{train,test}/{ir,vi}, 1083 and 361 pairs of 640x480, with events."""

_base_ = ['events.py']

task = 'ivf'
data_root = 'data/MSRS'
language = dict(prompt='events')

train_dataloader = dict(dataset=dict(source_a='train/ir', source_b='train/vi'))
val_dataloader = dict(dataset=dict(source_a='test/ir', source_b='test/vi'))
test_dataloader = dict(_base_.val_dataloader, dataset=dict(_base_.val_dataloader.dataset, source_a='test/ir',
                                                           source_b='test/vi'))

# The terms, with the weights of the default event.
terms = [dict(type='MaxIntensityLoss', weight=24.0), dict(type='vlfusion_dtpf.ConsistencyLoss', weight=40.0),
         dict(type='AxisGradientLoss', weight=48.0), dict(type='SSIMLoss', weight=2.0, window=48)]
