"""FILM trained on Harvard by a short schedule, to test whether the text has an effect.

Reproduces: nothing published; 500 steps are far from convergence.
Commands:   vlfusion describe film/film_mif_short
            vlfusion train film/film_mif_short
            vlfusion ablate-text film/film_mif_short work_dirs/film_mif_short/iter_500.pth
Cost:       500 steps: 65 minutes of one CPU core with released guidance.
Expected:   docs/results/text.md. Own text, protocol plain, 36 test pairs: EN 5.367  SD 66.60
            SF 25.07  AG 7.986  VIF 0.822  Qabf 0.682.
Note:       with these weights of the losses, short training copies source A (zoo/film_mif.py).
Not known:  what longer training gives; a second seed.
"""

_base_ = ['../_base_/runtime.py', '../_base_/datasets/harvard.py', '../_base_/schedules/short.py',
          '../_base_/language/measured.py']

train_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadPair'),
    dict(type='BothSources', transforms=[dict(type='RandomCrop', size=(128, 128)), dict(type='RandomFlip', prob=0.5)]),
    dict(type='PackPair')]))
model = dict(
    type='FusionModel',
    backbone=dict(type='FILM', text_dim=384),
    losses=[dict(type='MaxIntensityLoss', weight=1.0), dict(type='MaxGradientLoss', weight=20.0)])
default_hooks = dict(checkpoint=dict(interval=100))
