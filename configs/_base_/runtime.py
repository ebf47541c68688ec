"""Settings that all experiments share: logging, checkpoints, evaluation."""

default_scope = 'vlfusion'
randomness = dict(seed=0)
env_cfg = dict(mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0), dist_cfg=dict(backend='nccl'))

# Everything counts iterations, not epochs: an interruption costs at most `checkpoint.interval` steps, at any data size.
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=10, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='SafeCheckpointHook', by_epoch=False, interval=500, max_keep_ckpts=2, save_best='Qabf',
                    rule='greater'))
log_processor = dict(by_epoch=False)
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])

protocol = 'film'
val_evaluator = dict(type='FusionEvaluator', names=['EN', 'SD', 'SF', 'AG', 'VIF', 'Qabf'])
test_evaluator = val_evaluator
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
