"""FILM (Zhao et al., ICML 2024), medical as published: infrared-visible weights applied to Harvard. Testing only.

Reproduces: Table 2 of the paper. The released MIF.pth is byte-identical to IVF.pth, so either file works.
Commands:   vlfusion convert-weights FILM IVF.pth work_dirs/film_ivf_released.pth --task ivf
            vlfusion test film/film_mif_zeroshot work_dirs/film_ivf_released.pth
Needs:      the VLF dataset (Image/MIF/Harvard, TextFeature/MIF/Harvard) under data/VLFDataset.
Expected:   EN 4.74  SD 65.26  SF 23.36  AG 6.19  VIF 0.78  Qabf 0.76 (Table 2); the authors' README gives
            4.74 65.23 23.36 6.19 0.78 0.76.
Not known:  how many pairs the authors tested.
"""

_base_ = ['../_base_/runtime.py', '../_base_/datasets/vlf_harvard.py']

model = dict(type='FusionModel', backbone=dict(type='FILM', text_dim=768))
val_evaluator = None
val_cfg = None
