"""FILM (Zhao et al., ICML 2024), multi-focus: trained on Real-MFF with the published text features.

Reproduces: the released network and schedule. The multi-focus training script was not released: the losses here are a
            reconstruction (intensity to the maximum of the sources; gradient 300; SSIM and L2 terms on), not a fact.
Command:    vlfusion train film/film_mff
Cost:       81,150 steps: 8 days of two CPU cores (8.1 s a step, measured); on a GPU 4 to 16 hours, an estimate from
            operations (docs/howto/train.md). First try film_mff_sample.py or configs/zoo/film_mff.py (4 hours).
Needs:      the VLF dataset (Image/MFF/RealMFF, TextFeature/MFF/RealMFF) under data/VLFDataset.
Expected:   Real-MFF test, 71 pairs, protocol film: EN 7.11  SD 54.93  SF 15.62  AG 5.43  VIF 1.10  Qabf 0.76 (paper,
            Table 4); the authors' README gives 7.11 54.97 15.62 5.43 1.11 0.76 for the weights they released.
Not known:  whether the gradient weight is 300 or 500; whether the all-in-focus truth entered the loss; which epoch.
"""

_base_ = ['../_base_/runtime.py', '../_base_/datasets/vlf_realmff.py', '../_base_/schedules/film.py']

model = dict(
    type='FusionModel',
    backbone=dict(type='FILM', text_dim=768),
    losses=[dict(type='MaxIntensityLoss', weight=1.0), dict(type='MaxGradientLoss', weight=300.0),
            dict(type='LpLoss', weight=1.0), dict(type='SSIMLoss', weight=332.0)])  # 332 = int(sqrt(288 * 384))
