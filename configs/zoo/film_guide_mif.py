"""FILM (Zhao et al., ICML 2024) that obeys instructions: the training of the guidance of `film-guide-mif`.

A step reads 126 sentences and fuses nothing: what a network reads in a sentence decides its picture. Pairs of all tasks
are read, so that the guidance serves every network; that of `film-guide-ivf` starts from it.

Data:       sentences about Harvard's 738 training pairs (MRI with CT, PET or SPECT), 171 infrared-visible pairs of
            RoadScene, and pairs of two exposures and two focuses; to test, Harvard's 72 test pairs.
Commands:   make zoo ZOO_DATA=FOLDER ZOO_TASKS=guide_mif; it can be resumed
Cost:       4,000 steps: half an hour of one CPU core
Start:      the weights `film-mif`, which stay as they are; only the guidance by instructions learns.
Loss:       what is read in an instruction, its numbers and its place, against what it asks for.
Text:       as `film-mif`; and instructions of `fusion.v2`, read as 1152-d tokens of three layers of all-MiniLM-L6-v2,
            because its last one alone hardly tells "less" from "more".
"""

_base_ = ['film_mif.py']

load_from = 'film-mif'

language = dict(instruction_encoder=dict(
    type='TransformersTextEncoder', model='all-MiniLM-L6-v2', layers=[6, 2, 0]))

protocol = 'plain'  # the stretch of `film` would undo "brighter" and "less contrast"

model = dict(
    _delete_=True, type='InstructedModel', trainable=['correction'], pictures=0,
    backbone=dict(type='FILM', text_dim=384, guidance='spatial', instruction_dim=1152),
    losses=[dict(type='ReadingLoss'), dict(type='RegionLoss')])

# The pixels of these small pictures are the cells of the guidance. It has more of them in a large picture.
train_dataloader = dict(dataset=dict(
    name='Harvard, RoadScene, U2Fusion and NYU-D', subsets={
        'RoadScene': dict(source_a='ivf/RoadScene_train/ir', source_b='ivf/RoadScene_train/vi', modality_a='infrared',
                          modality_b='visible'),
        'U2Fusion': dict(source_a='mef/U2Fusion/over', source_b='mef/U2Fusion/under', modality_a='over-exposed',
                         modality_b='under-exposed'),
        'NYU-D': dict(source_a='mff/NYU-D/source_1', source_b='mff/NYU-D/source_2', modality_a='near-focused',
                      modality_b='far-focused')},
    text_source=dict(fixed='Fuse the two images.'),
    instructions=dict(vocabulary='fusion.v2', count=63, pool=4000, dropped=0.15),
    pipeline=[
        dict(type='LoadPair'),
        dict(type='BothSources', transforms=[
            dict(type='Resize', scale=(16, 16)),
            dict(type='RandomFlip', prob=0.5)]),
        dict(type='PackPair')]))

train_cfg = dict(max_iters=4000)
optim_wrapper = dict(_delete_=True, type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.1),
                     clip_grad=dict(max_norm=1.0))
param_scheduler = [dict(type='LinearLR', by_epoch=False, start_factor=0.1, begin=0, end=100),
                   dict(type='CosineAnnealingLR', by_epoch=False, begin=100, end=4000, T_max=3900, eta_min=3e-6)]
