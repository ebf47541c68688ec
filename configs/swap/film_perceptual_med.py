"""FILM with an additional perceptual term, on features of a timm model, on Harvard's medical pairs.

Reproduces: nothing published.
Cost:       81,150 steps, as configs/film/film_mif.py: days of two CPU cores, hours of a GPU. For a first look add
            --cfg-options train_cfg.max_iters=500 train_cfg.val_interval=500
Commands:   vlfusion describe swap/film_perceptual_med
            vlfusion train swap/film_perceptual_med
Needs:      Harvard's pairs under data/mif/Harvard; VGG-16's ImageNet weights, which timm fetches from its hub.
Expected:   not known.
Not known:  whether features learned from photographs suit medical images; the weight is a guess.
"""

_base_ = ['../_base_/runtime.py', '../_base_/datasets/harvard.py', '../_base_/schedules/film.py',
          '../_base_/language/measured.py']

model = dict(
    type='FusionModel',
    backbone=dict(type='FILM', text_dim=384),
    losses=[dict(type='MaxIntensityLoss', weight=1.0), dict(type='MaxGradientLoss', weight=20.0),
            dict(type='PerceptualLoss', weight=0.1, model='vgg16', layers=(0, 1, 2))])
