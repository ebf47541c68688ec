"""FILM (Zhao et al., ICML 2024) for multi-exposure images: the training of the weights `film-mef`.

Data:       16 scenes of MEFB and 8 pairs of U2Fusion; four scenes of MEFB are for testing.
Commands:   make zoo ZOO_DATA=FOLDER describes the pairs and trains all weights in turn; it can be resumed
Cost:       6,000 steps: about four hours of one CPU core
Start:      the weights `film-mif`
Text:       measured facts and a template, read as 384-d tokens of all-MiniLM-L6-v2.
Loss:       intensity of the mean (weight 20, see film_ivf.py), edges of the sharper source, and SSIM; the
            authors' losses for exposures were not released.
"""

_base_ = ['../_base_/runtime.py', '../_base_/datasets/zoo.py', '../_base_/schedules/zoo.py',
          '../_base_/language/measured.py']

task = 'mef'

load_from = 'film-mif'

model = dict(
    type='FusionModel',
    backbone=dict(type='FILM', text_dim=384),
    losses=[dict(type='MeanIntensityLoss', weight=20.0), dict(type='MaxGradientLoss', weight=20.0),
            dict(type='SSIMLoss', weight=1.0)])

train_dataloader = dict(dataset=dict(
    name='MEFB and U2Fusion', subsets={
        'MEFB': dict(source_a='mef/MEFB/*/{name}_B.*', source_b='mef/MEFB/*/{name}_A.*',
                     names=['ArchSequence', 'Chair', 'Door', 'ICCV_06', 'ICCV_08', 'ICCV_10', 'ICCV_11', 'Igloo',
                            'Land', 'TreyRatcliff', 'Window2', 'WindowTrim', 'door2', 'flowerGate', 'sculpture',
                            'tower']),
        'U2Fusion': dict(source_a='mef/U2Fusion/over', source_b='mef/U2Fusion/under')}))
test_dataloader = dict(dataset=dict(
    name='MEFB', source_a='mef/MEFB/*/{name}_B.*', source_b='mef/MEFB/*/{name}_A.*',
    names=['Candle', 'House', 'Stream', 'Garage']))

# `vlfusion test` scores the weights between training runs; scoring during training would cost steps.
val_cfg = val_dataloader = val_evaluator = None
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(interval=10, save_best=None))
