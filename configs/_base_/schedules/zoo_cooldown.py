"""Last steps before weights are shipped: 200 steps of the training's own data, with a rate that falls to zero.

Weights in the middle of a long schedule are noisy, because its rate is still high. A short run with a falling rate from
them is about as good as a whole schedule that ends there (Haegele et al., Scaling Laws and Compute-Optimal Training
Beyond Fixed Training Durations, NeurIPS 2024). The long run goes on from its own checkpoint.
"""

train_cfg = dict(type='ResumableTrainLoop', max_iters=200, val_interval=200)
optim_wrapper = dict(type='BFloat16OptimWrapper', optimizer=dict(type='Adam', lr=2e-4), clip_grad=dict(max_norm=1.0))
param_scheduler = [dict(type='LinearLR', by_epoch=False, start_factor=0.1, begin=0, end=20),
                   dict(type='LinearLR', by_epoch=False, start_factor=1.0, end_factor=0.01, begin=20, end=200)]
