"""AUIF-Net (Zhao et al., IEEE TCSVT 2021), infrared-visible: learns to restore the authors' 180 FLIR pairs.

Reproduces: the released training script: network, loss and its weight, batches of 32 images (16 pairs), crops of 128,
            Adam 1e-2 (1e-3 for the detail), divided by ten after 41 of 80 epochs of 12 steps. The released weights
            count 960 batches, as many.
Command:    vlfusion train auif/auif_ivf
Needs:      the folder Datasets of github.com/Zhaozixiang1228/IVIF-AUIF-Net as data/ivf/AUIF.
Hardware:   a GPU or a patient CPU; not measured.
Expected:   not measured: this schedule was not run to its end. The released weights reproduce the authors' pictures,
            see the plugin's README.
Not known:  the seed of the released weights. The script draws the 360 images one by one, each with a crop of its own,
            and the last batch of an epoch holds 8; here a pair is drawn together with one crop, every batch is full,
            and crops are resized by OpenCV.
"""

_base_ = ['vlfusion::_base_/runtime.py', '_base_/flir.py']

protocol = 'plain'
model = dict(type='vlfusion_auif.AUIFModel', backbone=dict(type='vlfusion_auif.AUIF'))

train_cfg = dict(type='ResumableTrainLoop', max_iters=960, val_interval=96)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-2),
                     paramwise_cfg=dict(custom_keys={'backbone.detail': dict(lr_mult=0.1)}))
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[41 * 12], gamma=0.1)]
default_hooks = dict(checkpoint=dict(interval=96))
