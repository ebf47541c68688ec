"""FILM's network with the losses of CDDFuse's second phase (Zhao et al., CVPR 2023), on Harvard's medical pairs.

Reproduces: nothing published. The terms are CDDFuse's intensity and gradient, weighted 1 to 10; its decomposition
            term needs features that FILM does not have.
Cost:       81,150 steps, as configs/film/film_mif.py: days of two CPU cores, hours of a GPU. For a first look add
            --cfg-options train_cfg.max_iters=500 train_cfg.val_interval=500
Commands:   vlfusion describe swap/film_cddfuse_losses_med
            vlfusion train swap/film_cddfuse_losses_med
Needs:      Harvard's pairs under data/mif/Harvard.
Expected:   not known.
Not known:  what the lighter gradient term (10 instead of FILM's 20) does to AG and Qabf.
"""

_base_ = ['../_base_/runtime.py', '../_base_/datasets/harvard.py', '../_base_/schedules/film.py',
          '../_base_/language/measured.py']

model = dict(
    type='FusionModel',
    backbone=dict(type='FILM', text_dim=384),
    losses=[dict(type='MaxIntensityLoss', weight=1.0), dict(type='MaxGradientLoss', weight=10.0)])
