"""CDDFuse (Zhao et al., CVPR 2023), medical: trained on patches of Harvard's MRI-CT, MRI-PET and MRI-SPECT pairs.

Reproduces: CDDFuse's network, losses and schedule on medical images. The authors released medical weights, but not how
            or on which images they were trained. Only their test is known: its residual is `none`.
Command:    vlfusion train cddfuse/cddfuse_med
Needs:      Harvard's pairs under data/mif/Harvard, in the layout of _base_/harvard_patches.py.
Expected:   not known. The released medical weights on the authors' 136 pairs, protocol cddfuse (Table 5):
            MRI-CT     EN 4.88  SD 79.17  SF 38.14  MI 2.61  SCD 1.41  VIF 0.61  Qabf 0.68  SSIM 1.34
            MRI-PET    EN 4.23  SD 70.73  SF 29.57  MI 2.03  SCD 1.69  VIF 0.71  Qabf 0.71  SSIM 1.49
            MRI-SPECT  EN 3.90  SD 58.31  SF 20.87  MI 2.49  SCD 1.35  VIF 0.97  Qabf 0.78  SSIM 1.48
            Here the test pairs are different.
Not known:  whether the authors also trained with the residual `none`; their patches and number of epochs.
"""

_base_ = ['vlfusion::_base_/runtime.py', '_base_/harvard_patches.py']

EPOCH = 2952 // 8  # 738 slices of four patches, all with enough contrast
protocol = 'cddfuse'

model = dict(
    type='vlfusion_cddfuse.CDDFuseModel',
    backbone=dict(type='vlfusion_cddfuse.CDDFuse', residual='none'),
    losses=[dict(type='MaxIntensityLoss', weight=1.0), dict(type='MaxGradientLoss', weight=10.0)],
    decomposition_weight=2.0, gradient_weight=5.0, detailed='a')

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
