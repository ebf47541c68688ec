"""CDDFuse (Zhao et al., CVPR 2023), infrared-visible: trained on patches of MSRS.

Reproduces: the released training script: 120 epochs, 40 of them phase I; batches of 8; four Adams at 1e-4 that halve
            every 20 epochs; gradients of each module clipped to a norm of 0.01.
Command:    vlfusion train cddfuse/cddfuse_ivf
Needs:      MSRS under data/MSRS, in the layout of _base_/msrs_patches.py.
Expected:   MSRS test, 361 pairs, protocol cddfuse (Table 1): EN 6.70  SD 43.38  SF 11.56  MI 3.47  SCD 1.62  VIF 1.05
            Qabf 0.69  SSIM 1.00. Not yet run here.
Not known:  how many of the 6498 patches have enough contrast. EPOCH, the steps of an epoch, counts all of them.
            Training logs the number; set EPOCH to an eighth of it.
"""

_base_ = ['vlfusion::_base_/runtime.py', '_base_/msrs_patches.py']

EPOCH = 6498 // 8
protocol = 'cddfuse'

model = dict(
    type='vlfusion_cddfuse.CDDFuseModel',
    backbone=dict(type='vlfusion_cddfuse.CDDFuse', residual='visible'),
    losses=[dict(type='MaxIntensityLoss', weight=1.0), dict(type='MaxGradientLoss', weight=10.0)],
    decomposition_weight=2.0, gradient_weight=5.0, detailed='b')

# Phase I leaves the fusion layers without gradients; training in several processes must know that.
find_unused_parameters = True
custom_hooks = [dict(type='ProgressHook'), dict(type='vlfusion_cddfuse.PhaseHook', switch=40 * EPOCH)]
# Before phase II the fusion layers are untrained, so fused images mean nothing.
train_cfg = dict(type='ResumableTrainLoop', max_iters=120 * EPOCH, val_begin=40 * EPOCH, val_interval=10 * EPOCH)
optim_wrapper = dict(constructor='vlfusion_cddfuse.PerModuleOptimizers', optimizer=dict(type='Adam', lr=1e-4),
                     clip_grad=dict(max_norm=0.01))
# The rate of the fusion layers starts to fall when they start to learn. `end` allows a small max_iters.
schedule = dict(type='StepLR', by_epoch=False, step_size=20 * EPOCH, gamma=0.5, end=120 * EPOCH)
fusion_schedule = dict(schedule, begin=40 * EPOCH)
param_scheduler = dict(encoder=[schedule], decoder=[schedule], base_fusion=[fusion_schedule],
                       detail_fusion=[fusion_schedule])
val_evaluator = dict(type='FusionEvaluator', names=['EN', 'SD', 'SF', 'MI', 'SCD', 'VIF', 'Qabf', 'SSIM'])
test_evaluator = val_evaluator
