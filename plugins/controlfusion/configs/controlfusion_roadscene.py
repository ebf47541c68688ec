"""ControlFusion (Tang et al., NeurIPS 2025), the network, on RoadScene with degradations drawn at random.

Reproduces: the released network, losses and schedule (120 epochs, batches of 64, crops of 96, AdamW 1e-4) for
            luminance, where the colour term is always zero. Not its data: the authors train on a set of their own with
            42 degradations. An epoch shows each of the 171 pairs under 42 degradations, 112 steps.
Commands:   vlfusion describe controlfusion/controlfusion_roadscene
            vlfusion train controlfusion/controlfusion_roadscene
Needs:      RoadScene, 171 pairs to train on and 50 to test: `vlfusion data get RoadScene`; CLIP ViT-L/14@336 of
            open_clip, which the first command fetches.
Expected:   not known: this config was not trained to the end.
Next:       controlfusion_adapter_roadscene.py, which trains the adapter.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/roadscene_train.py', '_base_/instructions.py']

language = dict(_base_.language, encoder=dict(type='OpenCLIPTextEncoder', model='ViT-L-14-336-quickgelu',
                                              pretrained='openai', output='pooled', long='split'))
protocol = 'truncate'  # the released test script clips and truncates
model = dict(
    type='vlfusion_controlfusion.ControlFusionModel',
    backbone=dict(type='vlfusion_controlfusion.ControlFusion', text_dim=768, channels=1),
    losses=[dict(type='MaxIntensityLoss', weight=8.0), dict(type='SSIMLoss', weight=1.0, window=48),
            dict(type='AxisGradientLoss', weight=10.0)])

train_dataloader = dict(batch_size=64, dataset=dict(pipeline=[
    dict(type='LoadPair'),
    dict(type='BothSources', transforms=[
        dict(type='RandomCrop', size=(96, 96)),
        dict(type='RandomFlip', prob=[0.25, 0.25, 0.25], direction=['horizontal', 'vertical', 'diagonal'])]),
    dict(type='vlfusion_controlfusion.Degrade', instructions=_base_.instructions,
         language=dict(store=language['store'], encoder=language['encoder'])),
    dict(type='PackDegraded')]))
train_cfg = dict(type='ResumableTrainLoop', max_iters=120 * 112, val_interval=2 * 112)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.05))
param_scheduler = [dict(type='LinearLR', by_epoch=False, start_factor=1e-3, begin=0, end=112),
                   dict(type='PolyLR', by_epoch=False, power=0.9, eta_min=0, begin=112, end=120 * 112)]
