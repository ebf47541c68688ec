"""Schedule of the shipped weights: 6,000 steps, about four hours of one core for each task.

Each step sees two crops of 128x128 in bfloat16. On one core without matrix units a step took 2.5 s, in float32 3.9 s.
Crops of 64x64 cost three times as much per pixel, because the guidance by text has a fixed size. Adam's rate rises to
3e-4 over 100 steps and falls along a cosine to 3e-6.
"""

train_cfg = dict(type='ResumableTrainLoop', max_iters=6000, val_interval=6000)
optim_wrapper = dict(type='BFloat16OptimWrapper', optimizer=dict(type='Adam', lr=3e-4), clip_grad=dict(max_norm=1.0))
param_scheduler = [dict(type='LinearLR', by_epoch=False, start_factor=0.1, begin=0, end=100),
                   dict(type='CosineAnnealingLR', by_epoch=False, begin=100, end=6000, T_max=5900, eta_min=3e-6)]
