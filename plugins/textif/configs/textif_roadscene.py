"""Text-IF (Yi et al., CVPR 2024) on RoadScene with degradations drawn at random.

Reproduces: the released network, losses, weights and schedule (120 epochs, batches of 8, crops of 96, AdamW 1e-4) for
            luminance. Not its data: the paper uses EMS, whose degraded pairs have hand-restored truths.
Commands:   vlfusion describe textif/textif_roadscene
            vlfusion train textif/textif_roadscene
Needs:      RoadScene, 171 pairs to train on and 50 to test: `vlfusion data get RoadScene`; CLIP
            ViT-B/32 of open_clip, which the first command fetches.
Expected:   not known: this config was not trained to the end.
"""

_base_ = ['vlfusion::_base_/runtime.py', '_base_/roadscene_degraded.py']

language = dict(_base_.language, encoder=dict(type='OpenCLIPTextEncoder', model='ViT-B-32-quickgelu',
                                              pretrained='openai', output='pooled', long='split'))
model = dict(
    type='vlfusion_textif.TextIFModel',
    backbone=dict(type='vlfusion_textif.TextIF', text_dim=512),
    losses=[dict(type='MaxIntensityLoss', weight=8.0), dict(type='SSIMLoss', weight=1.0, window=48),
            dict(type='AxisGradientLoss', weight=10.0)],
    degradation_weights=dict(over_exposed_visible=dict(max_intensity=4.0, ssim=0.0, axis_gradient=2.0),
                             noisy_infrared=dict(max_intensity=6.0)))

train_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadPair'),
    dict(type='BothSources', transforms=[
        dict(type='RandomCrop', size=(96, 96)),
        dict(type='RandomFlip', prob=[0.25, 0.25, 0.25], direction=['horizontal', 'vertical', 'diagonal'])]),
    dict(type='vlfusion_textif.Degrade', instructions=_base_.instructions,
         language=dict(store=language['store'], encoder=language['encoder'])),
    dict(type='PackDegraded')]))
# Epochs of 171 // 8 = 21 steps; the first is a warm-up.
train_cfg = dict(type='ResumableTrainLoop', max_iters=120 * 21, val_interval=2 * 21)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.05))
param_scheduler = [dict(type='LinearLR', by_epoch=False, start_factor=1e-3, begin=0, end=21),
                   dict(type='PolyLR', by_epoch=False, power=0.9, eta_min=0, begin=21, end=120 * 21)]
