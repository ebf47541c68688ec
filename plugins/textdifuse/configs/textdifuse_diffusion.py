"""Text-DiFuse (Zhang et al., NeurIPS 2024), first phase: a diffusion model that restores degraded images.

Reproduces: the released script train_diffusion.py: 1,500,000 steps of AdamW at 2e-5 on batches of 6, crops of 256, all
            1000 steps of the schedule, and an average of the weights over time, which the checkpoints hold.
Commands:   vlfusion train textdifuse/textdifuse_diffusion
            vlfusion train textdifuse/textdifuse_ivf --cfg-options load_from=work_dirs/textdifuse_diffusion/iter_N.pth
Needs:      pairs of degraded and clean images in the layout of _base_/restoration.py.
Hardware:   not measured.
Expected:   not known: this training has not been run. Testing and validation restore the degraded image.
Not known:  the authors' images, which are not public; whether their weights are the average.
"""

_base_ = ['vlfusion::_base_/runtime.py', '_base_/restoration.py']

protocol = 'plain'
model = dict(type='vlfusion_textdifuse.TextDiFuseModel', phase='diffusion',
             backbone=dict(type='vlfusion_textdifuse.TextDiFuse'))

custom_hooks = [dict(type='ProgressHook'),
                dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=1e-4)]
train_cfg = dict(type='ResumableTrainLoop', max_iters=1_500_000, val_interval=100_000)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=2e-5, weight_decay=0.0))
default_hooks = dict(checkpoint=dict(interval=3000), logger=dict(interval=50))
