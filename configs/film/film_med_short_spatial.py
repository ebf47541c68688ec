"""FILM with guidance='spatial' on Harvard by a short schedule, to ask whether the text does anything.

(numbers follow)
"""

_base_ = ['../_base_/runtime.py', '../_base_/datasets/harvard.py', '../_base_/schedules/short.py',
          '../_base_/language/measured_minilm.py']

train_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadPair'),
    dict(type='BothSources', transforms=[dict(type='RandomCrop', size=(128, 128)), dict(type='RandomFlip', prob=0.5)]),
    dict(type='PackPair')]))
model = dict(
    type='FusionModel',
    backbone=dict(type='FILM', text_dim=384, guidance='spatial'),
    losses=[dict(type='MaxIntensityLoss', weight=1.0), dict(type='MaxGradientLoss', weight=20.0)])
default_hooks = dict(checkpoint=dict(interval=100))
