"""HelloNet on simulated MRI-PET pairs, for trying things out.

Commands:   vlfusion prepare-data sample
            vlfusion train hello/hello_mif_sample
Expected:   pictures and numbers in a minute on two CPU cores. The pairs are simulated, so the numbers mean nothing.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/sample_mif.py',
          'vlfusion::_base_/schedules/demo.py']

protocol = 'plain'  # outputs are clamped to [0, 1] and rounded to grey levels
model = dict(
    type='FusionModel',
    backbone=dict(type='vlfusion_hello.HelloNet'),
    losses=[dict(type='MaxIntensityLoss'), dict(type='vlfusion_hello.ContrastLoss', weight=0.5)])

default_hooks = dict(checkpoint=dict(interval=20))
