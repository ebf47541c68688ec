"""A small FILM that imitates the weights `film-mif`: the first steps of the training of `film-small-mif`.

Reproduces: nothing published. The network is FILM's in small: blocks of 2x2 pixels become channels, of which there are
            16 instead of 32; half the expansion; a guidance grid of 72x96; text and guidance as in FILM. The output is
            a mixture of the sources.
Loss:       the absolute difference from the teacher's picture of the whole pair. The teacher's output for a crop would
            be another one, because its attention sees the whole image.
Commands:   for B in CT PET SPECT; do vlfusion fuse film-mif data/mif/Harvard/$B-MRI/train/MRI \
                data/mif/Harvard/$B-MRI/train/$B -o data/mif/Harvard/$B-MRI/train/film-mif --modality-b $B \
                --protocol plain --grey; done
            vlfusion describe film/film_small_mif
            vlfusion train film/film_small_mif
            vlfusion train film/film_small_mif_l2 --cfg-options load_from=work_dirs/film_small_mif/iter_5000.pth
Needs:      Harvard's pairs (`vlfusion data get Harvard`)
Cost:       a quarter of an hour of one CPU core for the teacher's 738 pictures, 45 minutes for 5,000 steps
Expected:   the card of the weights, `vlfusion models film-small-mif`.
Not known:  whether a wider network or more steps come nearer to the teacher.
"""

_base_ = ['../_base_/runtime.py', '../_base_/datasets/harvard.py', '../_base_/language/measured.py']

model = dict(
    type='FusionModel',
    backbone=dict(type='FILM', text_dim=384, dim=16, heads=4, expansion=2, guidance_grid=(72, 96), attention_dim=64,
                  fold=2, output='mixture'),
    losses=[dict(type='TruthLoss', norm='l1')])

train_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False, dataset=dict(
    name='Harvard',
    subsets={'CT-MRI': dict(truth='CT-MRI/train/film-mif'), 'PET-MRI': dict(truth='PET-MRI/train/film-mif'),
             'SPECT-MRI': dict(truth='SPECT-MRI/train/film-mif')},
    pipeline=[
        dict(type='LoadPair'),
        dict(type='BothSources', transforms=[
            dict(type='RandomCrop', size=(128, 128)),
            dict(type='RandomFlip', prob=0.5),
            dict(type='RandomRotate90')]),
        dict(type='PackPair')]))

train_cfg = dict(type='ResumableTrainLoop', max_iters=5000, val_interval=5000)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=3e-3), clip_grad=dict(max_norm=1.0))
param_scheduler = [dict(type='LinearLR', by_epoch=False, start_factor=0.1, begin=0, end=100),
                   dict(type='CosineAnnealingLR', by_epoch=False, begin=100, end=5000, T_max=4900, eta_min=3e-6)]
