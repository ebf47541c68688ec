"""FILM's released guidance, trained on Harvard by a short schedule, to ask whether the text does anything.

Reproduces: nothing published: 500 steps are far from convergence. For comparing the three guidances with one another.
Commands:   vlfusion describe configs/film/film_med_short_released.py
            vlfusion train configs/film/film_med_short_released.py
            vlfusion ablate-text configs/film/film_med_short_released.py work_dirs/film_med_short_released/iter_500.pth
Hardware:   one CPU core, about 80 minutes beside other work.
Expected:   another pair's text moves a pixel by 0.0008 grey levels; own text, protocol plain, 36 test pairs: EN 5.367
            SD 66.60  SF 25.07  AG 7.986  VIF 0.822  Qabf 0.682 (docs/results/text.md).
Not known:  whether the text would do more after longer training.
"""

_base_ = ['../_base_/runtime.py', '../_base_/datasets/harvard.py', '../_base_/schedules/short.py',
          '../_base_/language/measured_minilm.py']

train_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadPair'),
    dict(type='BothSources', transforms=[dict(type='RandomCrop', size=(128, 128)), dict(type='RandomFlip', prob=0.5)]),
    dict(type='PackPair')]))
model = dict(
    type='FusionModel',
    backbone=dict(type='FILM', text_dim=384, guidance='released'),
    losses=[dict(type='MaxIntensityLoss', weight=1.0), dict(type='MaxGradientLoss', weight=20.0)])
default_hooks = dict(checkpoint=dict(interval=100))
