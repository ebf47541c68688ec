"""DATFuse (Tang et al., IEEE TCSVT 2023), infrared-visible: trained on patches of TNO with the released losses.

Reproduces: losses, weights, optimizer and batch size of the released training script, for the number of steps that the
            batch normalisation of the released weights counted: 6330, in 10 epochs of 633.
Command:    vlfusion train datfuse/datfuse_tno
Needs:      TNO pairs under data/ivf/TNO, training pairs in train/{ir,vi}.
Expected:   not known: this training has not been run.
Not known:  the authors' training pairs (TNO or others) and their patches: 633 batches of 128 are at most 81,024
            patches, and their network assumes a size of 120. Here patches are drawn at random.
"""

_base_ = ['vlfusion::_base_/runtime.py', '_base_/tno_patches.py']

protocol = 'truncate'
model = dict(
    type='FusionModel',
    backbone=dict(type='vlfusion_datfuse.DATFuse'),
    losses=[dict(type='vlfusion_datfuse.PixelLoss', weight=1.0),
            dict(type='vlfusion_datfuse.GradientLoss', weight=100.0),
            dict(type='vlfusion_datfuse.StructureLoss', weight=10.0)])

train_cfg = dict(type='ResumableTrainLoop', max_iters=10 * 633, val_interval=633)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3))
