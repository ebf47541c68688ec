"""SDNet (Zhang and Ma, IJCV 2021), infrared-visible.

Reproduces: the released training script: network, losses and their weights, initial weights, batches of 32 patches of
            120x120, Adam 1e-4 throughout.
Command:    vlfusion train sdnet/sdnet_ivf
Needs:      registered pairs under data/ivf/TNO: train/{ir,vi} to train, test/{ir,vi} to validate.
Hardware:   not measured.
Expected:   not measured: this schedule was not run. The released weights agree with the released code, see the README.
Not known:  the training pairs, and with them the number of steps (10,000 here). The script uses 15 epochs of patches
            cut every 10 pixels; the released weights come from epoch 11. Here patches are drawn at random.
"""

_base_ = ['vlfusion::_base_/runtime.py', '_base_/patches.py']

task = 'ivf'
data_root = 'data/ivf/TNO'
protocol = 'cddfuse'
# In the order of the branches: infrared, then visible.
model = dict(type='vlfusion_sdnet.SDNetModel', backbone=dict(type='vlfusion_sdnet.SDNet'),
             second_weight=0.5, gradient_weight=80.0)

train_dataloader = dict(dataset=dict(source_a='train/ir', source_b='train/vi'))
val_dataloader = dict(dataset=dict(source_a='test/ir', source_b='test/vi'))
test_dataloader = dict(dataset=dict(source_a='test/ir', source_b='test/vi'))
