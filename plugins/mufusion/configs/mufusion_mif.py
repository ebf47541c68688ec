"""MUFusion (Cheng et al., Information Fusion 2023), medical: trained on patches with the memory unit.

Reproduces: the released training script: network, losses, memory, batches of 48, Adam 1e-4, 10 epochs of 584 steps.
Command:    vlfusion train mufusion/mufusion_mif
Needs:      the authors' 28072 patches (their README has the link) as data/mufusion/mif/{IR,VIS}:
            the Harvard atlas, functional images in IR and MRI in VIS;
            whole pairs as data/mufusion/mif/test/{IR,VIS}; VGG-19, which torchvision fetches (548 MB).
Hardware:   not measured.
Expected:   not measured: this schedule was not run. Six steps equal the released script's, see the plugin's README.
Not known:  the seed of the released weights; which pairs the patches were cut from.
"""

_base_ = ['vlfusion::_base_/runtime.py', '_base_/patches.py']

task = 'mif'
data_root = 'data/mufusion/mif'
protocol = 'plain'
# The network's first channel, IR, is our source B.
train_dataloader = dict(dataset=dict(source_a='VIS', source_b='IR'))
val_dataloader = dict(dataset=dict(source_a='test/VIS', source_b='test/IR'))
test_dataloader = val_dataloader

model = dict(
    type='vlfusion_mufusion.MUFusionModel',
    backbone=dict(type='vlfusion_mufusion.MUFusion', first='b'),
    losses=[dict(type='vlfusion_mufusion.ContentLoss', taps=3, window=7)])

train_cfg = dict(type='ResumableTrainLoop', max_iters=10 * 584, val_interval=584)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4))
default_hooks = dict(checkpoint=dict(interval=584))
