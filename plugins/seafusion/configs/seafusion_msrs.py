"""SeAFusion (Tang et al., Information Fusion 2022), infrared-visible: trained on MSRS with its content loss.

Reproduces: the first of the four rounds of the released training script: 10 epochs of 1083 // 8 = 135 steps, Adam, the
            rate 0.001 * 0.75 ** (epoch - 1) with epochs counted from 0. The three later rounds start again and add the
            semantic loss of a segmentation network, which needs labels and is not included.
Command:    vlfusion train seafusion/seafusion_msrs
Needs:      MSRS under data/MSRS; `vlfusion data MSRS` says how to get it.
Expected:   no number was published for this round; the released weights come from the whole procedure.
Not known:  the batch size of the released weights: 8 in an earlier version of the script, 16 in a later one.
"""

_base_ = ['vlfusion::_base_/runtime.py', '_base_/msrs.py']

model = dict(
    type='FusionModel',
    backbone=dict(type='vlfusion_seafusion.SeAFusion'),
    losses=[dict(type='MaxIntensityLoss', weight=1.0), dict(type='MaxGradientLoss', weight=10.0)])

train_cfg = dict(type='ResumableTrainLoop', max_iters=10 * 135, val_interval=135)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=0.001 / 0.75))
param_scheduler = [dict(type='StepLR', by_epoch=False, step_size=135, gamma=0.75)]
default_hooks = dict(checkpoint=dict(interval=135))
