"""Fusion in the Laplacian pyramid, infrared-visible, tested on TNO.

Reproduces: the textbook method; no published table is matched.
Command:    vlfusion test classical/laplacian_ivf
            vlfusion fuse classical/laplacian_ivf IR/ VI/ -o fused/
Expected:   TNO, 8 pairs, protocol plain: EN 6.79  SD 32.07  SF 12.17  AG 4.88  VIF 0.62  Qabf 0.52 (measured).
Not known:  the LP of other papers: its levels and its rule for the coarsest level differ between them.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/tno.py']

protocol = 'plain'
model = dict(type='FusionModel', backbone=dict(type='vlfusion_classical.LaplacianPyramid'))
