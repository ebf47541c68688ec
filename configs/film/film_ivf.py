"""FILM (Zhao et al., ICML 2024), infrared-visible: trained on MSRS with the published text features.

Reproduces: the released training script, network and schedule.
Command:    vlfusion train film/film_ivf
Cost:       81,150 steps: 8 days of two CPU cores (8.1 s a step, measured); on a GPU 4 to 16 hours, an estimate from
            operations (docs/howto/train.md). First try film_ivf_sample.py or configs/zoo/film_ivf.py (4 hours).
Needs:      the VLF dataset (Image/IVF/MSRS, TextFeature/IVF/MSRS) under data/VLFDataset.
Expected:   MSRS test, 361 pairs, protocol film: EN 6.72  SD 43.17  SF 11.70  AG 3.84  VIF 1.06  Qabf 0.73 (Table 1);
            the authors' README gives 6.72 43.64 11.55 3.72 1.06 0.70 for the weights they released.
Not known:  which epoch was released; the hardware; how the two paragraphs of a pair became 149 tokens.
"""

_base_ = ['../_base_/runtime.py', '../_base_/datasets/vlf_msrs.py', '../_base_/schedules/film.py']

model = dict(
    type='FusionModel',
    backbone=dict(type='FILM', text_dim=768),
    losses=[dict(type='MaxIntensityLoss', weight=1.0), dict(type='MaxGradientLoss', weight=20.0)])
