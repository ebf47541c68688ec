"""Enough steps to see a model learn on a laptop; far too few for numbers worth quoting."""

train_cfg = dict(type='ResumableTrainLoop', max_iters=60, val_interval=30)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, T_max=60, eta_min=1e-4)]
