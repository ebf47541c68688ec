"""Text-DiFuse (Zhang et al., NeurIPS 2024), second phase, medical: the fusion control module on MRI and CT.

Reproduces: the released script train_FCM.py: it trains on MRI-CT alone, and its weights fuse PET and SPECT too.
            Otherwise as textdifuse_ivf.py.
Command:    vlfusion train textdifuse/textdifuse_mif --cfg-options load_from=work_dirs/textdifuse_diffusion/iter_N.pth
Needs:      a diffusion model of the first phase; Harvard: `vlfusion data get Harvard`.
Hardware:   not measured.
Expected:   not known: this training has not been run.
Not known:  the authors' training pairs and their number; here an epoch has the 160 pairs of Harvard.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/harvard.py']

protocol = 'plain'
model = dict(
    type='vlfusion_textdifuse.TextDiFuseModel', phase='fusion',
    backbone=dict(type='vlfusion_textdifuse.TextDiFuse', first='a'),
    losses=[dict(type='MaxIntensityLoss', weight=1.0), dict(type='vlfusion_textdifuse.MaxEdgeLoss', weight=1.0)])

train_dataloader = dict(
    batch_size=1, drop_last=False,
    dataset=dict(
        subsets={'_delete_': True,
                 'CT-MRI': dict(source_a='CT-MRI/train/MRI', source_b='CT-MRI/train/CT', modality_b='CT')},
        pipeline=[
            dict(type='LoadPair'),
            dict(type='BothSources', transforms=[
                dict(type='vlfusion_textdifuse.LimitShortSide', least=320, most=320),
                dict(type='RandomCrop', size=(320, 320)),
            ]),
            dict(type='PackPair'),
        ]))
train_cfg = dict(type='ResumableTrainLoop', max_iters=10 * 160, val_interval=160)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=2e-5, weight_decay=0.0))
