"""LUT-Fuse on the simulated infrared-visible sample, for trying things out. Not the published training.

Published:  the distance to the pictures of a teacher, which the sample lacks. The brighter source replaces them here.
Commands:   vlfusion prepare-data sample
            vlfusion train lutfuse/lutfuse_ivf_sample
Expected:   pictures and numbers in a minute on two CPU cores. The pairs are simulated, so the numbers mean nothing.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/sample_ivf.py',
          'vlfusion::_base_/schedules/demo.py']

protocol = 'truncate'
model = dict(
    type='vlfusion_lutfuse.LUTFuseModel',
    backbone=dict(type='vlfusion_lutfuse.LUTFuse', channels=1),
    losses=[dict(type='MaxIntensityLoss', weight=1.0), dict(type='SSIMLoss', weight=1.0, window=48)])
