"""CLIP-Mamba (2025), MRI-SPECT: trained with the terms of the released script that have a gradient.

Reproduces: weights of the terms, optimizer, whole images in batches of 16, and the 300 epochs of 40 steps that the
            batch normalisation of the released weights counted. The two terms in CLIP's space are left out, because
            they have no gradient in the released script: with and without them the training is the same.
            `clipmamba_spect_text` repairs them.
Command:    vlfusion train clipmamba/clipmamba_spect
Needs:      SPECT-MRI of Harvard under data/mif/Harvard: `vlfusion data get Harvard`.
Hardware:   not measured.
Expected:   not known: this training has not been run.
Not known:  the authors' training pairs. 40 batches of 16 are about 640; the public collection has 333. Three of
            theirs are in their repository.
"""

_base_ = ['vlfusion::_base_/runtime.py', '_base_/spect.py']

protocol = 'truncate'
model = dict(
    type='FusionModel',
    backbone=dict(type='vlfusion_clipmamba.CLIPMamba'),
    losses=[dict(type='vlfusion_clipmamba.StructureLoss', weight=10.0),
            dict(type='vlfusion_clipmamba.EdgeLoss', weight=100.0)])

train_cfg = dict(type='ResumableTrainLoop', max_iters=300 * 40, val_interval=400)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3))
default_hooks = dict(checkpoint=dict(interval=400))
