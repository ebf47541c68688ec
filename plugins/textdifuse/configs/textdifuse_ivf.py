"""Text-DiFuse (Zhang et al., NeurIPS 2024), second phase, infrared-visible: the fusion control module on MSRS.

Reproduces: the released script train_FCM.py: 10 epochs of AdamW at 2e-5 on single crops of 320, 25 steps of sampling,
            the larger intensity and the stronger edge of both restored sources as targets.
Command:    vlfusion train textdifuse/textdifuse_ivf --cfg-options load_from=work_dirs/textdifuse_diffusion/iter_N.pth
Needs:      a diffusion model of the first phase; MSRS under data/MSRS, in the layout of _base_/msrs.py.
Hardware:   not measured.
Expected:   not known: this training has not been run.
Not known:  the authors' training pairs. Five of the eight that they give as an example have names of MSRS.
"""

_base_ = ['vlfusion::_base_/runtime.py', '_base_/msrs.py']

protocol = 'plain'
model = dict(
    type='vlfusion_textdifuse.TextDiFuseModel', phase='fusion',
    backbone=dict(type='vlfusion_textdifuse.TextDiFuse', first='b'),
    losses=[dict(type='MaxIntensityLoss', weight=1.0), dict(type='vlfusion_textdifuse.MaxEdgeLoss', weight=1.0)])

train_cfg = dict(type='ResumableTrainLoop', max_iters=10 * 1083, val_interval=1083)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=2e-5, weight_decay=0.0))
