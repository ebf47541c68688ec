"""500 steps on crops of 128x128 in batches of 2: about an hour on two CPU cores, to compare networks.

This is far from convergence.
"""

train_cfg = dict(type='ResumableTrainLoop', max_iters=500, val_interval=500)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=3e-4))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, T_max=500, eta_min=1e-6)]
