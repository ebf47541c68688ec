"""FILM (Zhao et al., ICML 2024) for medical images: the training of the weights `film-mif`.

Data:       Harvard's 738 training pairs (MRI with CT, PET or SPECT); 72 test pairs.
Commands:   make zoo ZOO_DATA=FOLDER describes the pairs and trains all weights in turn; it can be resumed
Cost:       6,000 steps: about four hours of one CPU core
Loss:       FILM's terms; intensity weighs 20 instead of 1. With FILM's weight, the first thousand steps learn edges:
            after 830 steps the output on MRI-CT pairs lay 26 grey levels from the brighter source, after 180 more with
            weight 20 8.1 (plugins/film_weights/README.md has the commands).
Text:       measured facts and a template, read as 384-d tokens of all-MiniLM-L6-v2.
"""

_base_ = ['../_base_/runtime.py', '../_base_/datasets/zoo.py', '../_base_/schedules/zoo.py',
          '../_base_/language/measured.py']

task = 'mif'

model = dict(
    type='FusionModel',
    backbone=dict(type='FILM', text_dim=384),
    losses=[dict(type='MaxIntensityLoss', weight=20.0), dict(type='MaxGradientLoss', weight=20.0)])

train_dataloader = dict(dataset=dict(
    name='Harvard', subsets={
        'CT-MRI': dict(source_a='mif/Harvard/CT-MRI/train/MRI', source_b='mif/Harvard/CT-MRI/train/CT',
                       modality_b='CT'),
        'PET-MRI': dict(source_a='mif/Harvard/PET-MRI/train/MRI', source_b='mif/Harvard/PET-MRI/train/PET',
                        modality_b='PET'),
        'SPECT-MRI': dict(source_a='mif/Harvard/SPECT-MRI/train/MRI', source_b='mif/Harvard/SPECT-MRI/train/SPECT',
                          modality_b='SPECT')}))
test_dataloader = dict(dataset=dict(
    subsets={
        'CT-MRI': dict(source_a='mif/Harvard/CT-MRI/test/MRI', source_b='mif/Harvard/CT-MRI/test/CT',
                       modality_b='CT'),
        'PET-MRI': dict(source_a='mif/Harvard/PET-MRI/test/MRI', source_b='mif/Harvard/PET-MRI/test/PET',
                        modality_b='PET'),
        'SPECT-MRI': dict(source_a='mif/Harvard/SPECT-MRI/test/MRI', source_b='mif/Harvard/SPECT-MRI/test/SPECT',
                          modality_b='SPECT')}))

# `vlfusion test` scores the weights between training runs; scoring during training would cost steps.
val_cfg = val_dataloader = val_evaluator = None
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(interval=10, save_best=None))
