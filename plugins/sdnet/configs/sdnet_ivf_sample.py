"""SDNet on the simulated infrared-visible sample, for trying things out.

Commands:   vlfusion prepare-data sample
            vlfusion train sdnet/sdnet_ivf_sample
Expected:   pictures and numbers in minutes on two CPU cores. The pairs are simulated, so the numbers mean nothing.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/sample_ivf.py',
          'vlfusion::_base_/schedules/demo.py']

protocol = 'cddfuse'
model = dict(type='vlfusion_sdnet.SDNetModel', backbone=dict(type='vlfusion_sdnet.SDNet'))

default_hooks = dict(checkpoint=dict(interval=20), logger=dict(interval=5))
