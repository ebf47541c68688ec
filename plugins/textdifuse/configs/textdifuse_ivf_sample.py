"""Text-DiFuse's second phase, small, on the simulated infrared-visible sample, for trying things out.

Commands:   as in textdifuse_diffusion_sample.py, whose result this phase starts from
Expected:   minutes on two CPU cores. The pairs are simulated and the diffusion model has seen little, so the numbers
            mean nothing.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/sample_ivf.py',
          'vlfusion::_base_/schedules/demo.py']

protocol = 'plain'
model = dict(
    type='vlfusion_textdifuse.TextDiFuseModel', phase='fusion',
    backbone=dict(type='vlfusion_textdifuse.TextDiFuse', steps=5, dim=32, widths=(1, 2, 2), blocks=1,
                  attention=(2,), groups=4),
    losses=[dict(type='MaxIntensityLoss', weight=1.0), dict(type='vlfusion_textdifuse.MaxEdgeLoss', weight=1.0)])

default_hooks = dict(checkpoint=dict(interval=20), logger=dict(interval=5))
