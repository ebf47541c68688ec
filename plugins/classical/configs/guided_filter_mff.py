"""Guided filter fusion (Li, Kang and Hu, 2013), multi-focus, tested on pairs made from NYU-D.

Reproduces: the paper's parameters; no published table is matched.
Command:    vlfusion test classical/guided_filter_mff
            vlfusion fuse classical/guided_filter_mff NEAR/ FAR/ -o fused/
Expected:   NYU-D, 40 pairs, protocol plain: EN 7.35  SD 60.16  SF 12.15  AG 3.96  VIF 1.50  Qabf 0.77 (measured).
Not known:  the authors' result on these pairs.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/nyud.py']

protocol = 'plain'
model = dict(type='FusionModel', backbone=dict(type='vlfusion_classical.GuidedFilterFusion'))
