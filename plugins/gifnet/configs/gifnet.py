"""GIFNet (Cheng et al., CVPR 2025): one network for every task, trained on infrared-visible and multi-focus pairs.

Reproduces: the released training script: network, losses, two optimizer steps on each batch of 8, Adam 1e-3, two epochs
            of 2500 batches.
Command:    vlfusion train gifnet/gifnet
Needs:      the authors' training set (linked from github.com/AWCXV/GIFNet) as data/ivf/GIFNet, with infrared/train,
            visible/train, visible_focus_near/train and visible_focus_far/train; validation pairs of your choice in
            infrared/test and visible/test; the published weights of DenseNet-121, which torchvision fetches.
Hardware:   not known; the authors' script uses one GPU. Here it must be one process.
Expected:   not measured: this schedule was not run. Two iterations from one state give the losses of the released code,
            see the plugin's README.
Not known:  the seed and the epoch of the released weights. The script uses the first 19,999 images by number, and the
            last batch of an epoch has 7; here every batch is full.
"""

_base_ = ['vlfusion::_base_/runtime.py', '_base_/gifnet_pairs.py']

protocol = 'plain'
model = dict(type='vlfusion_gifnet.GIFNetModel', backbone=dict(type='vlfusion_gifnet.GIFNet'),
             losses=[dict(type='vlfusion_gifnet.InformationLoss', weight=1.0)])

train_cfg = dict(type='ResumableTrainLoop', max_iters=2 * 2500, val_interval=500)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3))
