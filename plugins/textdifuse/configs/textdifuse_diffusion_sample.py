"""Text-DiFuse's first phase, small, on degraded copies of the simulated sample, for trying things out.

Commands:   vlfusion prepare-data sample
            vlfusion train textdifuse/textdifuse_diffusion_sample
            vlfusion train textdifuse/textdifuse_ivf_sample \
                --cfg-options load_from=work_dirs/textdifuse_diffusion_sample/iter_100.pth
Expected:   minutes on two CPU cores. A diffusion model needs far more steps, so its pictures are noisy.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/sample_ivf.py']

protocol = 'plain'
model = dict(
    type='vlfusion_textdifuse.TextDiFuseModel', phase='diffusion',
    backbone=dict(type='vlfusion_textdifuse.TextDiFuse', steps=5, dim=32, widths=(1, 2, 2), blocks=1,
                  attention=(2,), groups=4))

train_dataloader = dict(batch_size=2, dataset=dict(pipeline=[
    dict(type='LoadPair'),
    dict(type='BothSources', transforms=[dict(type='RandomCrop', size=(64, 64)), dict(type='RandomFlip', prob=0.5)]),
    dict(type='vlfusion_textdifuse.DegradedCopy'),
    dict(type='PackPair')]))
train_cfg = dict(type='ResumableTrainLoop', max_iters=100, val_interval=100)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.0))
default_hooks = dict(checkpoint=dict(interval=50), logger=dict(interval=20))
