"""SeAFusion on the simulated infrared-visible sample, for trying things out.

Commands:   python tools/prepare_data.py sample
            python tools/train.py plugins/seafusion/configs/seafusion_ivf_sample.py
Expected:   pictures and numbers in a minute on two CPU cores. The pairs are simulated: their numbers mean nothing.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/sample_ivf.py',
          'vlfusion::_base_/schedules/demo.py']

model = dict(
    type='FusionModel',
    backbone=dict(type='vlfusion_seafusion.SeAFusion'),
    losses=[dict(type='MaxIntensityLoss', weight=1.0), dict(type='MaxGradientLoss', weight=10.0)])
