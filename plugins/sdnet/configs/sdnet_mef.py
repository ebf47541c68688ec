"""SDNet (Zhang and Ma, IJCV 2021), multi-exposure.

Reproduces: the released training script: network, losses and their weights, initial weights, batches of 32 patches of
            120x120, Adam 1e-4 throughout.
Command:    vlfusion train sdnet/sdnet_mef
Needs:      registered pairs under data/mef/SICE: train/{over,under} to train, test/{over,under} to validate.
Hardware:   not measured.
Expected:   not measured: this schedule was not run. The released weights agree with the released code, see the README.
Not known:  the training pairs, and with them the number of steps (10,000 here). The script uses 20 epochs of patches
            cut every 22 pixels; the released weights come from epoch 12. Here patches are drawn at random.
"""

_base_ = ['vlfusion::_base_/runtime.py', '_base_/patches.py']

task = 'mef'
data_root = 'data/mef/SICE'
protocol = 'cddfuse'
# In the order of the branches: under-, then over-exposed.
model = dict(type='vlfusion_sdnet.SDNetModel', backbone=dict(type='vlfusion_sdnet.SDNet', swap=True),
             second_weight=1.0, gradient_weight=50.0)

train_dataloader = dict(dataset=dict(source_a='train/over', source_b='train/under'))
val_dataloader = dict(dataset=dict(source_a='test/over', source_b='test/under'))
test_dataloader = dict(dataset=dict(source_a='test/over', source_b='test/under'))
