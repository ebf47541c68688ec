"""40 steps: minutes on a laptop. Enough to see a model learn, far too few for meaningful numbers."""

train_cfg = dict(type='ResumableTrainLoop', max_iters=40, val_interval=20)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, T_max=40, eta_min=1e-4)]
