"""Reading of instructions alone, without pictures: a phase of the training of `film-guide-mif`.

A step reads 128 sentences and fuses nothing. Only what reads an instruction learns; the correction of the image stays.

Cost:       3,000 steps: a quarter of an hour of one CPU core
Commands:   vlfusion train zoo/film_guide_mif_read --cfg-options data_root=FOLDER load_from=CHECKPOINT
"""

_base_ = ['film_guide_mif.py']

model = dict(
    pictures=0, losses=[dict(type='ReadingLoss'), dict(type='RegionLoss')],
    trainable=[f'correction.{part}' for part in (
        'reader', 'questions', 'what', 'numbers', 'place', 'scene', 'answers', 'select', 'region')])

train_dataloader = dict(dataset=dict(
    instructions=dict(count=63, pool=8000),
    pipeline=[dict(type='LoadPair'),
              dict(type='BothSources', transforms=[dict(type='RandomCrop', size=(12, 12))]),
              dict(type='PackPair')]))

train_cfg = dict(max_iters=3000)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [dict(type='LinearLR', by_epoch=False, start_factor=0.1, begin=0, end=100),
                   dict(type='CosineAnnealingLR', by_epoch=False, begin=100, end=3000, T_max=2900, eta_min=3e-6)]
