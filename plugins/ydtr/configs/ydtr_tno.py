"""YDTR (Tang et al., IEEE TMM 2022), infrared-visible: trained on patches of TNO with the released losses.

Reproduces: losses, weights, optimizer and batch size of the released training script, for the number of steps that the
            batch normalisation of the released weights counted, twice per step: 25310, in 10 epochs.
Command:    vlfusion train ydtr/ydtr_tno
Hardware:   not known; not run.
Needs:      TNO pairs under data/ivf/TNO, training pairs in train/{ir,vi}.
Expected:   not known: this training has not been run. The released weights reproduce the authors' picture, see the
            plugin's README.
Not known:  the authors' training pairs (TNO or others) and their patches: 2531 batches of 32 are at most 80,992
            patches, and their network assumes a size of 120. Here patches are drawn at random.
"""

_base_ = ['vlfusion::_base_/runtime.py', '_base_/tno_patches.py']

protocol = 'truncate'
model = dict(
    type='FusionModel',
    backbone=dict(type='vlfusion_ydtr.YDTR'),
    losses=[dict(type='vlfusion_ydtr.StructureLoss', weight_a=1.0, weight_b=0.05),
            dict(type='vlfusion_ydtr.SpatialFrequencyLoss', weight_a=6e-4, weight_b=2.5e-4)])

train_cfg = dict(type='ResumableTrainLoop', max_iters=10 * 2531, val_interval=2531)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3))
