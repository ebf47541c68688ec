"""FILM's released schedule: 150 epochs of MSRS's 1083 pairs in batches of 2, 541 steps per epoch.

Adam 1e-5, no weight decay, no clipping; the rate is multiplied by 0.6 every 50 epochs. Cost for pairs of 288x384: 8
days on two CPU cores, at the measured 8.1 s per step (docs/reference/performance.md). On a GPU, 0.7 TFLOP per step give
an estimate of 4 to 16 hours at 1 to 4 TFLOP/s. `short.py` takes an hour, `zoo.py` four.
"""

train_cfg = dict(type='ResumableTrainLoop', max_iters=150 * 541, val_interval=5 * 541)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-5))
param_scheduler = [dict(type='StepLR', by_epoch=False, step_size=50 * 541, gamma=0.6)]
