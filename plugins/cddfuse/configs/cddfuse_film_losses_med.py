"""CDDFuse's network (Zhao et al., CVPR 2023) with FILM's losses, on Harvard's medical pairs, in one phase.

Reproduces: nothing published; it shows how a config combines a network with the losses of another method.
Command:    vlfusion train cddfuse/cddfuse_film_losses_med
Needs:      Harvard's pairs under data/mif/Harvard.
Expected:   not known.
Not known:  whether the network needs its own decomposition term; without it, nothing tells base from detail features.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/harvard.py', 'vlfusion::_base_/schedules/film.py']

model = dict(
    type='FusionModel',
    backbone=dict(type='vlfusion_cddfuse.CDDFuse', residual='none'),
    losses=[dict(type='MaxIntensityLoss', weight=1.0), dict(type='MaxGradientLoss', weight=20.0)])
