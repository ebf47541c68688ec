"""HelloNet on simulated MRI-PET pairs, for trying things out.

Commands:   vlfusion prepare-data sample
            vlfusion train configs/hello_mif_sample.py
Expected:   pictures and numbers in a minute on two CPU cores. The pairs are simulated: their numbers mean nothing.
"""

default_scope = 'vlfusion'
task = 'mif'
data_root = 'data/sample/mif'
protocol = 'plain'  # how outputs become grey levels: cut to [0, 1] and rounded

model = dict(
    type='FusionModel',
    backbone=dict(type='vlfusion_hello.HelloNet'),
    losses=[dict(type='MaxIntensityLoss'), dict(type='vlfusion_hello.ContrastLoss', weight=0.5)])

train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='EpochSampler'),
    dataset=dict(type='PairDataset', name='simulated_mif', source_a='train/MRI', source_b='train/PET', modality_b='PET',
                 pipeline=[
                     dict(type='LoadPair'),
                     dict(type='BothSources', transforms=[dict(type='RandomCrop', size=(64, 64)),
                                                          dict(type='RandomFlip', prob=0.5),
                                                          dict(type='RandomRotate90')]),
                     dict(type='PackPair')]))
val_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PairDataset', name='simulated_mif', source_a='test/MRI', source_b='test/PET', modality_b='PET',
                 pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
test_dataloader = val_dataloader

val_evaluator = dict(type='FusionEvaluator', names=['EN', 'SD', 'SF', 'AG', 'VIF', 'Qabf'])
test_evaluator = val_evaluator
train_cfg = dict(type='ResumableTrainLoop', max_iters=40, val_interval=20)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, T_max=40, eta_min=1e-4)]

randomness = dict(seed=0)
env_cfg = dict(mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0), dist_cfg=dict(backend='nccl'))
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=10, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='SafeCheckpointHook', by_epoch=False, interval=20, max_keep_ckpts=2, save_best='Qabf',
                    rule='greater'))
custom_hooks = [dict(type='ProgressHook')]
log_processor = dict(by_epoch=False)
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
