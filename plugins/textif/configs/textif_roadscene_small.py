"""A small Text-IF with a sentence encoder that needs no model hub, to see the effect of the text.

This is not a reproduction. Half of the degraded samples get the instruction of `none` and stay as they are: only the
text says whether to fix them.
Commands:   vlfusion describe textif/textif_roadscene_small
            vlfusion train textif/textif_roadscene_small
            python -m vlfusion_textif effect textif/textif_roadscene_small CHECKPOINT
Needs:      RoadScene, as textif_roadscene.py.
Expected:   minutes on one CPU core; the table in ../README.md shows the result of its 300 steps.
"""

_base_ = ['vlfusion::_base_/runtime.py', '_base_/roadscene_degraded.py']

language = dict(_base_.language,
                encoder=dict(type='SentenceTransformersEncoder', model='all-MiniLM-L6-v2', output='pooled'))
model = dict(
    type='vlfusion_textif.TextIFModel',
    backbone=dict(type='vlfusion_textif.TextIF', text_dim=384, text_scale=384**0.5, dim=16, blocks=(1, 1, 1, 1),
                  refinement=1),
    losses=[dict(type='MaxIntensityLoss', weight=8.0), dict(type='SSIMLoss', weight=1.0, window=11),
            dict(type='AxisGradientLoss', weight=1.0)])

train_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False, dataset=dict(pipeline=[
    dict(type='LoadPair'),
    dict(type='BothSources', transforms=[dict(type='RandomCrop', size=(64, 64)), dict(type='RandomFlip', prob=0.5)]),
    dict(type='vlfusion_textif.Degrade', instructions=_base_.instructions,
         language=dict(store=language['store'], encoder=language['encoder']), unnamed=0.5),
    dict(type='PackDegraded')]))
train_cfg = dict(type='ResumableTrainLoop', max_iters=300, val_interval=300)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, T_max=300, eta_min=1e-5)]
default_hooks = dict(checkpoint=dict(interval=60))
