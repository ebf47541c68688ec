"""SeAFusion on the simulated infrared-visible sample, for trying things out.

Commands:   vlfusion prepare-data sample
            vlfusion train seafusion/seafusion_ivf_sample
Expected:   pictures and numbers in a minute on two CPU cores. The pairs are simulated, so the numbers mean nothing.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/sample_ivf.py',
          'vlfusion::_base_/schedules/demo.py']

model = dict(
    type='FusionModel',
    backbone=dict(type='vlfusion_seafusion.SeAFusion'),
    losses=[dict(type='MaxIntensityLoss', weight=1.0), dict(type='MaxGradientLoss', weight=10.0)])
