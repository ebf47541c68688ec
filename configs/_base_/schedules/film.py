"""FILM's released schedule: 150 epochs of MSRS's 1083 pairs in batches of 2, which is 541 steps an epoch.

Adam 1e-5, no weight decay, no clipping; the rate falls by 0.6 every 50 epochs. The cost for pairs of 288x384: 11 days
of two CPU cores at the 12 s a step that were measured (docs/reference/performance.md); by its operations, 0.7 TFLOP a
step, 4 to 16 hours of a GPU that sustains 1 to 4 TFLOP/s. `short.py` takes an hour, `zoo.py` four.
"""

train_cfg = dict(type='ResumableTrainLoop', max_iters=150 * 541, val_interval=5 * 541)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-5))
param_scheduler = [dict(type='StepLR', by_epoch=False, step_size=50 * 541, gamma=0.6)]
