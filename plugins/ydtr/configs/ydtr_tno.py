"""YDTR (Tang et al., IEEE TMM 2022), infrared-visible: trained on patches of TNO with the released losses.

Reproduces: losses, weights, optimizer and batch size of the released training script, for as many steps as the counter
            of the batch normalisation in the released weights tells, with two counts a step: 25310, in 10 epochs.
Command:    vlfusion train ydtr/ydtr_tno
Hardware:   not known; not run.
Needs:      TNO pairs under data/ivf/TNO, those to train on in train/{ir,vi}.
Expected:   unknown; this training has not been run. The released weights reproduce the authors' picture, see the
            plugin's README.
Not known:  which pairs the authors trained on, of TNO or not, and how they cut them: 2531 batches of 32 are at most
            80,992 patches, and 120 is the size their network assumes. Here patches are drawn at random.
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
