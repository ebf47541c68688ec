"""SDNet (Zhang and Ma, IJCV 2021), multi-focus.

Reproduces: the released training script: network, losses and their weights, initial weights, batches of 32 patches of
            60x60, Adam 1e-4 throughout.
Command:    vlfusion train sdnet/sdnet_mff
Needs:      registered pairs under data/mff/MFF: train/{near,far} to train, test/{near,far} to validate.
Hardware:   not measured.
Expected:   not measured: this schedule was not run. The released weights agree with the released code, see the README.
Not known:  the training pairs, and with them the number of steps (10,000 here). The script uses 20 epochs of patches
            cut every 6 pixels; the released weights come from epoch 20. Here patches are drawn at random.
"""

_base_ = ['vlfusion::_base_/runtime.py', '_base_/patches.py']

task = 'mff'
data_root = 'data/mff/MFF'
protocol = 'cddfuse'
# In the order of the branches: near, then far.
model = dict(type='vlfusion_sdnet.SDNetModel', backbone=dict(type='vlfusion_sdnet.SDNet'),
             second_weight=1.0, gradient_weight=3.0)

train_pipeline = [
    dict(type='LoadPair'),
    dict(type='BothSources', transforms=[dict(type='RandomCrop', size=(60, 60))]),
    dict(type='PackPair'),
]
train_dataloader = dict(dataset=dict(source_a='train/near', source_b='train/far', pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(source_a='test/near', source_b='test/far'))
test_dataloader = dict(dataset=dict(source_a='test/near', source_b='test/far'))
