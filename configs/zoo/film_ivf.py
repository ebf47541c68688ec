"""FILM (Zhao et al., ICML 2024) for infrared and visible images: the training of the weights `film-ivf`.

Data:       171 pairs of RoadScene; its 25 pairs of CDDFuse's test set are for testing.
Commands:   make zoo ZOO_DATA=FOLDER describes the pairs and trains all weights in turn; it can be resumed
Cost:       6,000 steps: about four hours of one CPU core
Loss:       FILM's terms; intensity weighs 20 instead of 1. With FILM's weight, the first thousand steps learn edges:
            after 1,030 steps the output lay 27 grey levels from the brighter source, after 300 more with weight 20 8.4
            (plugins/film_weights/README.md has the commands).
Start:      the weights `film-mif`
Text:       measured facts and a template, read as 384-d tokens of all-MiniLM-L6-v2.
"""

_base_ = ['../_base_/runtime.py', '../_base_/datasets/zoo.py', '../_base_/schedules/zoo.py',
          '../_base_/language/measured.py']

task = 'ivf'

load_from = 'film-mif'

model = dict(
    type='FusionModel',
    backbone=dict(type='FILM', text_dim=384),
    losses=[dict(type='MaxIntensityLoss', weight=20.0), dict(type='MaxGradientLoss', weight=20.0)])

train_dataloader = dict(dataset=dict(
    name='RoadScene', source_a='ivf/RoadScene_train/ir', source_b='ivf/RoadScene_train/vi'))
test_dataloader = dict(dataset=dict(
    name='RoadScene', source_a='ivf/RoadScene/ir', source_b='ivf/RoadScene/vi'))

# `vlfusion test` scores the weights between training runs; scoring during training would cost steps.
val_cfg = val_dataloader = val_evaluator = None
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(interval=10, save_best=None))
