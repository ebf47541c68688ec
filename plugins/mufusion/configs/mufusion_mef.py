"""MUFusion (Cheng et al., Information Fusion 2023), multi-exposure: trained on patches with the memory unit.

Reproduces: the released training script: network, losses, memory, batches of 48, Adam 1e-4, 10 epochs of 441 steps.
Command:    vlfusion train mufusion/mufusion_mef
Needs:      the authors' 21204 patches (their README has the link) as data/mufusion/mef/{IR,VIS}:
            cut from SICE, with under-exposed patches in IR and over-exposed in VIS (deduced);
            whole pairs as data/mufusion/mef/test/{IR,VIS}.
Hardware:   not measured.
Expected:   not measured: this schedule was not run. Six steps equal the released script's, see the plugin's README.
Not known:  the seed of the released weights; which pairs the patches were cut from.
"""

_base_ = ['vlfusion::_base_/runtime.py', '_base_/patches.py']

task = 'mef'
data_root = 'data/mufusion/mef'
protocol = 'plain'
# The network's first channel, IR, is our source B.
train_dataloader = dict(dataset=dict(source_a='VIS', source_b='IR'))
val_dataloader = dict(dataset=dict(source_a='test/VIS', source_b='test/IR'))
test_dataloader = val_dataloader

model = dict(
    type='vlfusion_mufusion.MUFusionModel',
    backbone=dict(type='vlfusion_mufusion.MUFusion', first='b'),
    losses=[dict(type='vlfusion_mufusion.ContentLoss', taps=0)])

train_cfg = dict(type='ResumableTrainLoop', max_iters=10 * 441, val_interval=441)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4))
default_hooks = dict(checkpoint=dict(interval=441))
