"""MUFusion on the simulated multi-exposure sample, for trying things out: the only task without VGG-19.

Commands:   vlfusion prepare-data sample
            vlfusion train mufusion/mufusion_mef_sample
Expected:   pictures and numbers in minutes on two CPU cores. The pairs are simulated, so the numbers mean nothing.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/sample_mef.py',
          'vlfusion::_base_/schedules/demo.py']

protocol = 'plain'
# No random crops or flips: the memory unit compares with its earlier result for exactly the same patch.
train_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadPair'),
    dict(type='BothSources', transforms=[dict(type='CenterCrop', crop_size=64)]),
    dict(type='PackPair'),
]))
model = dict(
    type='vlfusion_mufusion.MUFusionModel',
    backbone=dict(type='vlfusion_mufusion.MUFusion', first='b'),
    losses=[dict(type='vlfusion_mufusion.ContentLoss', taps=0)])

default_hooks = dict(checkpoint=dict(interval=20), logger=dict(interval=5))
