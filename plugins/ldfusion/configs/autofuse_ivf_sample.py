"""AutoFuse's network on the simulated infrared-visible sample, for trying things out without CLIP and VGG-19.

Two terms on pixels replace the released losses, whose networks are large downloads, so words have no part in it.

Commands:   vlfusion prepare-data sample
            vlfusion train ldfusion/autofuse_ivf_sample
Expected:   pictures and numbers in minutes on two CPU cores. The pairs are simulated, so the numbers mean nothing.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/sample_ivf.py',
          'vlfusion::_base_/schedules/demo.py']

protocol = 'truncate'
model = dict(
    type='FusionModel',
    backbone=dict(type='vlfusion_ldfusion.AutoFuse', dim=8, noise=0.03),
    losses=[dict(type='MaxIntensityLoss', weight=1.0), dict(type='MaxGradientLoss', weight=10.0)])

default_hooks = dict(checkpoint=dict(interval=20), logger=dict(interval=5))
