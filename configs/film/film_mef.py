"""FILM (Zhao et al., ICML 2024), multi-exposure: trained on SICE with the published text features.

Reproduces: the released network and schedule. The multi-exposure training script was not released: the losses are a
            reconstruction (intensity to the mean of the sources; gradient 500; SSIM and L2 terms on), not a fact.
Command:    vlfusion train film/film_mef
Cost:       81,150 steps: 8 days of two CPU cores (8.1 s a step, measured); on a GPU 4 to 16 hours, an estimate from
            operations (docs/howto/train.md). First try film_mef_sample.py or configs/zoo/film_mef.py (4 hours).
Needs:      the VLF dataset (Image/MEF/SICE, TextFeature/MEF/SICE) under data/VLFDataset.
Expected:   SICE test, protocol film: EN 7.07  SD 54.21  SF 19.42  AG 5.15  VIF 1.05  Qabf 0.79 (Table 3); the authors'
            README gives 7.07 54.22 19.39 5.14 1.05 0.79 for the weights they released.
Not known:  whether the gradient weight is 300 or 500; whether SICE's ground truth entered the loss; which epoch.
"""

_base_ = ['../_base_/runtime.py', '../_base_/datasets/vlf_sice.py', '../_base_/schedules/film.py']

model = dict(
    type='FusionModel',
    backbone=dict(type='FILM', text_dim=768),
    losses=[dict(type='MeanIntensityLoss', weight=1.0), dict(type='MaxGradientLoss', weight=500.0),
            dict(type='LpLoss', weight=1.0), dict(type='SSIMLoss', weight=332.0)])  # 332 = int(sqrt(288 * 384))
