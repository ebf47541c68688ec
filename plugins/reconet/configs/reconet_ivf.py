"""ReCoNet (Huang et al., ECCV 2022), infrared-visible: the fusion network alone, trained on aligned pairs.

Reproduces: nothing exactly, because the training script of the released weights is not public. Terms, optimizer,
            batches and crops are those of the authors' script for a later network (without normalisation, with GELU).
            The steps are those that the released weights counted, 22,191 / 3 loops.
Command:    vlfusion train reconet/reconet_ivf
Needs:      aligned pairs under data/ivf/TNO, training pairs in train/{ir,vi}, of at least 320x320 pixels.
Hardware:   not measured.
Expected:   not known: this training has not been run.
Not known:  the weights of the two terms, which have no default in the authors' script: 1 and 1 is a guess; the training
            pairs. The weights of pixels are left out, and so is the lower rate when the loss stalls.
"""

_base_ = ['vlfusion::_base_/runtime.py', '_base_/crops.py']

protocol = 'plain'
model = dict(
    type='FusionModel',
    backbone=dict(type='vlfusion_reconet.ReCoNet'),
    losses=[dict(type='vlfusion_reconet.StructureLoss', weight=1.0),
            dict(type='vlfusion_reconet.PixelLoss', weight=1.0)])

train_cfg = dict(type='ResumableTrainLoop', max_iters=7397, val_interval=500)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3))
