"""SAGE's small network on the simulated infrared-visible sample, without a teacher, for trying things out.

Commands:   vlfusion prepare-data sample
            vlfusion train sage/sage_ivf_sample
Expected:   pictures and numbers in minutes on two CPU cores. The pairs are simulated, so the numbers mean nothing.
            The two terms are the released terms that need no teacher, with their released weights. The published
            training is different, see the plugin's README.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/sample_ivf.py',
          'vlfusion::_base_/schedules/demo.py']

protocol = 'plain'
model = dict(
    type='FusionModel',
    backbone=dict(type='vlfusion_sage.SAGE'),
    losses=[dict(type='vlfusion_sage.SourceLoss', weight=3.0), dict(type='MaxGradientLoss', weight=27.0)])

default_hooks = dict(checkpoint=dict(interval=20), logger=dict(interval=5))
