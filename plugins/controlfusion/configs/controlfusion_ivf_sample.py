"""A small ControlFusion on the simulated infrared-visible sample, with a sentence encoder that needs no download.

Commands:   vlfusion prepare-data sample
            vlfusion describe controlfusion/controlfusion_ivf_sample
            vlfusion train controlfusion/controlfusion_ivf_sample
Expected:   pictures and numbers in minutes on two CPU cores. The pairs are simulated, so the numbers mean nothing.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/sample_ivf.py',
          'vlfusion::_base_/schedules/demo.py', '_base_/instructions.py']

language = dict(_base_.language,
                encoder=dict(type='SentenceTransformersEncoder', model='all-MiniLM-L6-v2', output='pooled'))
protocol = 'truncate'
model = dict(
    type='vlfusion_controlfusion.ControlFusionModel',
    backbone=dict(type='vlfusion_controlfusion.ControlFusion', text_dim=384, channels=1, dim=8, blocks=(1, 1, 1, 1),
                  refinement=1, adapter_width=8),
    losses=[dict(type='MaxIntensityLoss', weight=8.0), dict(type='SSIMLoss', weight=1.0, window=48),
            dict(type='AxisGradientLoss', weight=10.0)])
train_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadPair'),
    dict(type='BothSources', transforms=[dict(type='RandomCrop', size=(64, 64)), dict(type='RandomFlip', prob=0.5)]),
    dict(type='vlfusion_controlfusion.Degrade', instructions=_base_.instructions,
         language=dict(store=language['store'], encoder=language['encoder'])),
    dict(type='PackDegraded')]))
default_hooks = dict(checkpoint=dict(interval=20), logger=dict(interval=5))
