"""HelloNet on the simulated medical sample: python tools/train.py plugins/hello_fusion/configs/hello_med_sample.py"""

_base_ = ['../../../configs/_base_/runtime.py', '../../../configs/_base_/datasets/sample_mif.py',
          '../../../configs/_base_/schedules/demo.py']

model = dict(
    type='FusionModel',
    backbone=dict(type='vlfusion_hello.HelloNet'),
    losses=[dict(type='MaxIntensityLoss'), dict(type='vlfusion_hello.ContrastLoss', weight=0.5)])
