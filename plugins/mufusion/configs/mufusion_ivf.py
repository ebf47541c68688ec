"""MUFusion (Cheng et al., Information Fusion 2023), infrared-visible: trained on patches with the memory unit.

Reproduces: the released training script: network, losses, memory, batches of 48, Adam 1e-4, 10 epochs of 428 steps.
Command:    vlfusion train mufusion/mufusion_ivf
Needs:      the authors' 20565 patches (their README has the link) as data/mufusion/ivf/{IR,VIS}:
            cut from TNO, judging by the name of the weights, because the script names no data;
            whole pairs as data/mufusion/ivf/test/{IR,VIS}; VGG-19, which torchvision fetches (548 MB).
Hardware:   not measured.
Expected:   not measured: this schedule was not run. Six steps equal the released script's, see the plugin's README.
Not known:  the seed of the released weights; which pairs the patches were cut from.
"""

_base_ = ['vlfusion::_base_/runtime.py', '_base_/patches.py']

task = 'ivf'
data_root = 'data/mufusion/ivf'
protocol = 'plain'
model = dict(
    type='vlfusion_mufusion.MUFusionModel',
    backbone=dict(type='vlfusion_mufusion.MUFusion'),
    losses=[dict(type='vlfusion_mufusion.ContentLoss', taps=5, window=7)])

train_cfg = dict(type='ResumableTrainLoop', max_iters=10 * 428, val_interval=428)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4))
default_hooks = dict(checkpoint=dict(interval=428))
