"""MATR (Tang et al., IEEE TIP 2022), medical: trained on patches of SPECT-MRI pairs with the released losses.

Reproduces: losses, weights, optimizer and batch size of the released training script, for the number of steps that the
            batch normalisation of the released weights counted: 2720, in 10 epochs of 272.
Command:    vlfusion train matr/matr_spect
Hardware:   not known; not run.
Needs:      SPECT-MRI/{train,test}/{MRI,SPECT} of Harvard under data/mif/Harvard.
Expected:   not known: this training has not been run. The released weights reproduce the authors' pictures, see the
            plugin's README.
Not known:  the authors' training pairs and their patches: 272 batches of 64 are at most 17,408 patches, and their
            network assumes a size of 120. Here patches are drawn at random.
"""

_base_ = ['vlfusion::_base_/runtime.py', '_base_/spect_patches.py']

protocol = 'truncate'
model = dict(
    type='FusionModel',
    backbone=dict(type='vlfusion_matr.MATR'),
    losses=[dict(type='SSIMLoss', weight=1.0, window=11),
            dict(type='vlfusion_matr.RegionMutualInformationLoss', weight=1.0, weight_a=2.5, weight_b=1.0)])

train_cfg = dict(type='ResumableTrainLoop', max_iters=10 * 272, val_interval=272)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3))
default_hooks = dict(checkpoint=dict(interval=272))
