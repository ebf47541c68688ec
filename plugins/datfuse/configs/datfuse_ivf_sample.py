"""DATFuse on the simulated infrared-visible sample, for trying things out.

Commands:   vlfusion prepare-data sample
            vlfusion train datfuse/datfuse_ivf_sample
Expected:   pictures and numbers in a minute on two CPU cores. The pairs are simulated, so the numbers mean nothing.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/sample_ivf.py',
          'vlfusion::_base_/schedules/demo.py']

protocol = 'truncate'
model = dict(
    type='FusionModel',
    backbone=dict(type='vlfusion_datfuse.DATFuse'),
    losses=[dict(type='vlfusion_datfuse.PixelLoss', weight=1.0),
            dict(type='vlfusion_datfuse.GradientLoss', weight=100.0),
            dict(type='vlfusion_datfuse.StructureLoss', weight=10.0)])
