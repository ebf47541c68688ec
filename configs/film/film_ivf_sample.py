"""FILM with its full architecture on the simulated infrared-visible sample, for trying things out.

Commands:   vlfusion prepare-data sample
            vlfusion describe film/film_ivf_sample
            vlfusion train film/film_ivf_sample
Cost:       40 steps: minutes on two CPU cores.
Expected:   pictures and numbers. The pairs are simulated, so the numbers mean nothing.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/sample_ivf.py',
          'vlfusion::_base_/schedules/demo.py', 'vlfusion::_base_/language/measured.py']

model = dict(
    type='FusionModel', margin=16,  # after so few steps the network has not learned where an image ends
    backbone=dict(type='FILM', text_dim=384),
    losses=[dict(type='MaxIntensityLoss', weight=1.0), dict(type='MaxGradientLoss', weight=20.0)])

default_hooks = dict(checkpoint=dict(interval=20), logger=dict(interval=5))
