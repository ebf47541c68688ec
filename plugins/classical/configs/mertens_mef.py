"""Exposure fusion (Mertens, Kautz and Van Reeth, 2007), tested on MEFB.

Reproduces: OpenCV's createMergeMertens on grey images.
Command:    vlfusion test classical/mertens_mef
            vlfusion fuse classical/mertens_mef OVER/ UNDER/ -o fused/
Expected:   MEFB, 20 pairs, protocol plain: EN 7.05  SD 57.84  SF 16.50  AG 4.74  VIF 1.45  Qabf 0.77 (measured).
Not known:  how much MEFB's own scores differ, which come from colour images with saturation.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/mefb.py']

protocol = 'plain'
model = dict(type='FusionModel', backbone=dict(type='vlfusion_classical.MertensFusion'))
