"""IFCNN (Zhang et al., Information Fusion 2020), infrared-visible: the released weights on TNO.

Reproduces: the released test script: elementwise maximum, no normalisation, grey levels truncated.
Commands:   vlfusion test ifcnn/ifcnn_tno ifcnn-ivf
Needs:      TNO in data/ivf/TNO.
Expected:   pictures within one grey level of the authors'; no scores were published under these protocols.
Not known:  the details of the paper's training: no training script was released.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/tno.py']

protocol = 'truncate'
model = dict(type='FusionModel', backbone=dict(type='vlfusion_ifcnn.IFCNN'))
