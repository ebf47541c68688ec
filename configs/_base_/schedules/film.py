"""FILM's released schedule: 150 epochs of MSRS's 1083 pairs in batches of 2, which is 541 steps an epoch.

Adam 1e-5, no weight decay, no clipping; the rate falls by 0.6 every 50 epochs.
"""

train_cfg = dict(type='ResumableTrainLoop', max_iters=150 * 541, val_interval=5 * 541)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-5))
param_scheduler = [dict(type='StepLR', by_epoch=False, step_size=50 * 541, gamma=0.6)]
