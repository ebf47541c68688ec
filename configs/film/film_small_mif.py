"""A small FILM that imitates the weights `film-mif`: the training of the weights `film-small-mif`.

Network:    blocks of 2x2 pixels become channels, of which there are 16 instead of 32. Half the expansion, a guidance
            grid of 72x96, text and guidance as in FILM. The output is a mixture of the sources.
Loss:       the absolute difference from the teacher's picture of the whole pair. The teacher's output for a crop would
            be another one, because its attention sees the whole image.
Commands:   for B in CT PET SPECT; do vlfusion fuse film-mif data/mif/Harvard/$B-MRI/train/MRI \
                data/mif/Harvard/$B-MRI/train/$B -o data/teacher/film-mif/$B-MRI --modality-b $B \
                --protocol plain --grey; done
            vlfusion describe film/film_small_mif
            vlfusion train film/film_small_mif
Needs:      Harvard's pairs (`vlfusion data get Harvard`)
Cost:       a quarter of an hour of one CPU core for the teacher's 738 pictures, half an hour for 5,000 steps
"""

_base_ = '../zoo/film_mif.py'

model = dict(
    backbone=dict(dim=16, heads=4, expansion=2, guidance_grid=(72, 96), attention_dim=64, fold=2, output='mixture'),
    losses=[dict(type='TruthLoss', norm='l1')])

train_dataloader = dict(batch_size=4, dataset=dict(subsets={
    'CT-MRI': dict(truth='teacher/film-mif/CT-MRI'),
    'PET-MRI': dict(truth='teacher/film-mif/PET-MRI'),
    'SPECT-MRI': dict(truth='teacher/film-mif/SPECT-MRI')}))

train_cfg = dict(max_iters=5000, val_interval=5000)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(lr=3e-3))
param_scheduler = [dict(type='LinearLR', by_epoch=False, start_factor=0.1, begin=0, end=100),
                   dict(type='CosineAnnealingLR', by_epoch=False, begin=100, end=5000, T_max=4900, eta_min=3e-6)]
default_hooks = dict(checkpoint=dict(interval=50))
