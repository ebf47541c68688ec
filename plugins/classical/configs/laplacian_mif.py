"""Fusion in the Laplacian pyramid, MRI with CT, PET and SPECT, tested on Harvard.

Reproduces: the textbook method; no published table is matched.
Command:    vlfusion test classical/laplacian_mif
            vlfusion fuse classical/laplacian_mif MRI/ PET/ -o fused/
Expected:   Harvard, 72 pairs, protocol plain: EN 4.70  SD 69.89  SF 30.14  AG 8.45  VIF 0.55  Qabf 0.63 (measured).
Not known:  the LP of other papers: its levels and its rule for the coarsest level differ between them.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/harvard.py']

protocol = 'plain'
model = dict(type='FusionModel', backbone=dict(type='vlfusion_classical.LaplacianPyramid'))
