"""SDNet (Zhang and Ma, IJCV 2021), medical.

Reproduces: the released training script: network, losses and their weights, initial weights, batches of 32 patches of
            120x120, Adam 1e-4 throughout.
Command:    vlfusion train sdnet/sdnet_mif
Needs:      registered pairs under data/mif/Harvard: train/{MRI,PET} to train, test/{MRI,PET} to validate.
Hardware:   not measured.
Expected:   not measured: this schedule was not run. The released weights agree with the released code, see the README.
Not known:  the training pairs, and with them the number of steps (10,000 here). The script uses 30 epochs of patches
            cut every 10 pixels; the released weights come from epoch 30. Here patches are drawn at random.
"""

_base_ = ['vlfusion::_base_/runtime.py', '_base_/patches.py']

task = 'mif'
data_root = 'data/mif/Harvard'
protocol = 'cddfuse'
# In the order of the branches: functional, then structural.
model = dict(type='vlfusion_sdnet.SDNetModel', backbone=dict(type='vlfusion_sdnet.SDNet', swap=True),
             second_weight=0.5, gradient_weight=10.0)

train_dataloader = dict(dataset=dict(source_a='train/MRI', source_b='train/PET'))
val_dataloader = dict(dataset=dict(source_a='test/MRI', source_b='test/PET'))
test_dataloader = dict(dataset=dict(source_a='test/MRI', source_b='test/PET'))
