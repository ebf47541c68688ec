"""FILM (Zhao et al., ICML 2024) for multi-focus images: the training of the weights `film-mff`.

Data:       40 pairs of NYU-D with their all-in-focus truth; Lytro is for testing.
Commands:   make zoo ZOO_DATA=FOLDER describes the pairs and trains all weights in turn; it can be resumed
Cost:       6,000 steps: about four hours of one CPU core
Start:      the weights `film-mif`
Text:       measured facts and a template, read as 384-d tokens of all-MiniLM-L6-v2.
Loss:       FILM's terms and the distance from the truth; the authors' losses for focus pairs were not released.
"""

_base_ = ['../_base_/runtime.py', '../_base_/datasets/zoo.py', '../_base_/schedules/zoo.py',
          '../_base_/language/measured.py']

task = 'mff'

load_from = 'film-mif'

model = dict(
    type='FusionModel',
    backbone=dict(type='FILM', text_dim=384),
    losses=[dict(type='MaxIntensityLoss', weight=1.0), dict(type='MaxGradientLoss', weight=20.0),
            dict(type='TruthLoss', weight=20.0, norm='l1')])

train_dataloader = dict(dataset=dict(
    name='NYU-D', source_a='mff/NYU-D/source_1', source_b='mff/NYU-D/source_2', truth='mff/NYU-D/full_clear'))
test_dataloader = dict(dataset=dict(
    name='Lytro', source_a='mff/Lytro/near', source_b='mff/Lytro/far'))

# `vlfusion test` scores the weights between training runs; scoring during training would cost steps.
val_cfg = val_dataloader = val_evaluator = None
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(interval=10, save_best=None))
