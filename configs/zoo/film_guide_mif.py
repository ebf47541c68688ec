"""FILM (Zhao et al., ICML 2024) that obeys instructions on medical images: the training of `film-guide-mif`.

Data:       Harvard's 738 training pairs (MRI with CT, PET or SPECT); 72 test pairs.
Commands:   make zoo ZOO_DATA=FOLDER ZOO_TASKS='guide_mif guide_ivf' trains both in turn; it can be resumed
            The shipped weights took three runs, with `film_guide_mif_read.py` between; plugins/film_weights/README.md
            has their commands.
Cost:       1,800 steps: 45 minutes of one CPU core
Start:      the weights `film-mif`, which stay as they are; only the guidance by instructions learns.
Loss:       the difference from the picture that an instruction asks for, relative to the asked change.
Text:       as `film-mif`; and instructions of `fusion.v1`, read as 384-d tokens of all-MiniLM-L6-v2.
"""

_base_ = ['film_mif.py']

load_from = 'film-mif'

protocol = 'plain'  # the stretch of `film` would undo "brighter" and "less contrast"

model = dict(
    _delete_=True, type='InstructedModel', trainable=['correction'], pictures=9,
    backbone=dict(type='FILM', text_dim=384, guidance='spatial', instruction_dim=384),
    losses=[dict(type='AskedIntensityLoss', relative=0.02), dict(type='AskedGradientLoss', weight=0.3, relative=0.1),
            dict(type='ReadingLoss'), dict(type='RegionLoss')])

# A short text makes a step faster. Descriptions hardly move the frozen network, see docs/results/text.md.
train_dataloader = dict(dataset=dict(
    text_source=dict(fixed='Fuse the two images.'),
    instructions=dict(vocabulary='fusion.v1', count=40, pool=5000, dropped=0.15),
    pipeline=[
        dict(type='LoadPair'),
        dict(type='BothSources', transforms=[
            dict(type='RandomCrop', size=(80, 80)),
            dict(type='RandomFlip', prob=0.5)]),
        dict(type='PackPair')]))

train_cfg = dict(max_iters=1800)
optim_wrapper = dict(_delete_=True, type='OptimWrapper', optimizer=dict(type='AdamW', lr=2e-3),
                     clip_grad=dict(max_norm=1.0))
param_scheduler = [dict(type='LinearLR', by_epoch=False, start_factor=0.1, begin=0, end=100),
                   dict(type='CosineAnnealingLR', by_epoch=False, begin=100, end=1800, T_max=1700, eta_min=3e-6)]
