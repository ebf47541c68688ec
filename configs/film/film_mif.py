"""FILM (Zhao et al., ICML 2024), medical: trained on Harvard's MRI-CT, MRI-PET and MRI-SPECT pairs.

Reproduces: FILM's network, losses and schedule on medical images. No published number belongs to this training: the
            medical numbers of the paper (Table 2: EN 4.74  SD 65.26  SF 23.36  AG 6.19  VIF 0.78  Qabf 0.76) come from
            the infrared-visible weights applied to Harvard. The released MIF.pth is byte-identical to IVF.pth. For
            that test see film_mif_zeroshot.py.
Cost:       81,150 steps: 5 days of two CPU cores, on a GPU 2 to 9 hours, both estimates (docs/howto/train.md).
            First train film_mif_short.py: 500 steps, an hour.
Commands:   vlfusion describe film/film_mif
            vlfusion train film/film_mif
Needs:      Harvard's pairs under data/mif/Harvard, in the layout of configs/_base_/datasets/harvard.py.
Expected:   not known. To judge a number, compare it with plain averaging and maximum in docs/explain/numbers.md.
Not known:  whether FILM trained on medical images would beat the transfer; which texts the authors used for Harvard.
Text:       384-d tokens of all-MiniLM-L6-v2 instead of 768-d tokens of BLIP-2, so text_dim differs from other configs.
"""

_base_ = ['../_base_/runtime.py', '../_base_/datasets/harvard.py', '../_base_/schedules/film.py',
          '../_base_/language/measured.py']

model = dict(
    type='FusionModel',
    backbone=dict(type='FILM', text_dim=384),
    losses=[dict(type='MaxIntensityLoss', weight=1.0), dict(type='MaxGradientLoss', weight=20.0)])
