"""LRRNet on the simulated infrared-visible sample, for trying things out. The losses are vlfusion's, not the authors'.

The authors' loss compares features of VGG-16 and is not part of this plugin, see its README.

Commands:   vlfusion prepare-data sample
            vlfusion train lrrnet/lrrnet_ivf_sample
Expected:   pictures and numbers in minutes on two CPU cores. The pairs are simulated, so the numbers mean nothing.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/sample_ivf.py',
          'vlfusion::_base_/schedules/demo.py']

protocol = 'truncate'
model = dict(
    type='FusionModel',
    backbone=dict(type='vlfusion_lrrnet.LRRNet', dim=16),
    losses=[dict(type='MaxIntensityLoss', weight=1.0), dict(type='MaxGradientLoss', weight=20.0)])
