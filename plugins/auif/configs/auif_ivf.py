"""AUIF-Net (Zhao et al., IEEE TCSVT 2021), infrared-visible: trained to restore the authors' 180 FLIR pairs.

Reproduces: the released training script: network, loss and its weight, batches of 32 images (16 pairs), crops of 128,
            Adam 1e-2 (1e-3 for the detail), divided by ten after 41 of 80 epochs of 12 steps. The released weights
            also counted 960 batches.
Command:    vlfusion train auif/auif_ivf
Needs:      the pairs under data/ivf/AUIF: `vlfusion data get FLIR-AUIF`.
Hardware:   not measured; a GPU is advisable.
Expected:   not measured: this schedule was not run to the end. The released weights reproduce the authors' pictures,
            see the plugin's README.
Not known:  the seed of the released weights. The script draws the 360 images one by one, each with its own crop, and
            the last batch of an epoch holds 8. Here both images of a pair get the same crop, every batch is full, and
            OpenCV resizes the crops.
"""

_base_ = ['vlfusion::_base_/runtime.py', '_base_/flir.py']

protocol = 'plain'
model = dict(type='vlfusion_auif.AUIFModel', backbone=dict(type='vlfusion_auif.AUIF'))

train_cfg = dict(type='ResumableTrainLoop', max_iters=960, val_interval=96)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-2),
                     paramwise_cfg=dict(custom_keys={'backbone.detail': dict(lr_mult=0.1)}))
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[41 * 12], gamma=0.1)]
default_hooks = dict(checkpoint=dict(interval=96))
