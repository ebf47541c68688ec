"""YDTR on the simulated infrared-visible sample, for trying things out.

Commands:   vlfusion prepare-data sample
            vlfusion train ydtr/ydtr_ivf_sample
Expected:   pictures and numbers in minutes on two CPU cores. The pairs are simulated, so the numbers mean nothing.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/sample_ivf.py',
          'vlfusion::_base_/schedules/demo.py']

protocol = 'truncate'
model = dict(
    type='FusionModel',
    backbone=dict(type='vlfusion_ydtr.YDTR'),
    losses=[dict(type='vlfusion_ydtr.StructureLoss', weight_a=1.0, weight_b=0.05),
            dict(type='vlfusion_ydtr.SpatialFrequencyLoss', weight_a=6e-4, weight_b=2.5e-4)])
