"""A timm encoder with a small decoder instead of FILM's network, with FILM's losses, on Harvard's medical pairs.

Reproduces: nothing published; a plain baseline with a modern encoder, without text.
Cost:       81,150 steps of a small network. For a first look add
            --cfg-options train_cfg.max_iters=500 train_cfg.val_interval=500
Command:    vlfusion train swap/timm_med
            other encoders: --cfg-options model.backbone.encoder=convnext_tiny
Needs:      Harvard's pairs under data/mif/Harvard; the encoder's ImageNet weights, which timm fetches from its hub
            (model.backbone.pretrained=False trains from scratch).
Expected:   not known.
Not known:  how much of a result comes from the encoder, and how much from the losses.
"""

_base_ = ['../_base_/runtime.py', '../_base_/datasets/harvard.py', '../_base_/schedules/film.py']

model = dict(
    type='FusionModel',
    backbone=dict(type='TimmFusion', encoder='resnet18', pretrained=True),
    losses=[dict(type='MaxIntensityLoss', weight=1.0), dict(type='MaxGradientLoss', weight=20.0)])
