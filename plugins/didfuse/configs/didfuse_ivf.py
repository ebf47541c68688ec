"""DIDFuse (Zhao et al., IJCAI 2020), infrared-visible: trained as an autoencoder on the authors' 180 FLIR pairs.

Reproduces: the released training script: network, losses and their weights, batches of 24, Adam 1e-3 divided by ten
            after a third and two thirds of 120 epochs of 8 steps.
Command:    vlfusion train didfuse/didfuse_ivf
Needs:      the pairs under data/ivf/DIDFuse: `vlfusion data get FLIR-DIDFuse`.
Expected:   not measured: this schedule was not run to the end. The released weights reproduce the authors' pictures,
            see the plugin's README.
Not known:  the seed of the released weights; whether the values of the paper equal those of the script (not compared).
            The script neither shuffles nor fills the last batch of an epoch (12 pairs); here every epoch is shuffled
            and every batch is full.
"""

_base_ = ['vlfusion::_base_/runtime.py', '_base_/flir.py']

protocol = 'plain'
model = dict(type='vlfusion_didfuse.DIDFuseModel', backbone=dict(type='vlfusion_didfuse.DIDFuse'))

train_cfg = dict(type='ResumableTrainLoop', max_iters=960, val_interval=80)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3))
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[320, 640], gamma=0.1)]
default_hooks = dict(checkpoint=dict(interval=80))
