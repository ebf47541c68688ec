"""The last steps of the training of `film-small-mif`: the squared difference from the teacher's pictures.

Reproduces: nothing published; see film_small_mif.py. The squared difference is what PSNR measures. It weighs the few
            places more where the student is far from its teacher, such as the edges of bones.
Commands:   vlfusion train film/film_small_mif_l2 --cfg-options load_from=work_dirs/film_small_mif/iter_5000.pth
Needs:      what film_small_mif.py needs, and its checkpoint
Cost:       2,500 steps: 22 minutes of one CPU core
Expected:   the card of the weights, `vlfusion models film-small-mif`.
Not known:  whether the squared difference from the first step on would do as well.
"""

_base_ = ['film_small_mif.py']

model = dict(losses=[dict(type='TruthLoss', norm='l2')])

train_cfg = dict(max_iters=2500, val_interval=2500)
optim_wrapper = dict(optimizer=dict(lr=1.5e-3))
param_scheduler = [dict(type='LinearLR', by_epoch=False, start_factor=0.1, begin=0, end=50),
                   dict(type='CosineAnnealingLR', by_epoch=False, begin=50, end=2500, T_max=2450, eta_min=3e-6)]
