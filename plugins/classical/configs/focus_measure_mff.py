"""Sum-modified-Laplacian with a majority vote, multi-focus, tested on pairs made from NYU-D.

Reproduces: the method as the class describes it; no published table is matched.
Command:    vlfusion test classical/focus_measure_mff
            vlfusion fuse classical/focus_measure_mff NEAR/ FAR/ -o fused/
Expected:   NYU-D, 40 pairs, protocol plain: EN 7.34  SD 60.22  SF 12.28  AG 3.99  VIF 1.50  Qabf 0.77 (measured).
Not known:  which windows other papers use.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/nyud.py']

protocol = 'plain'
model = dict(type='FusionModel', backbone=dict(type='vlfusion_classical.FocusMeasureFusion'))
