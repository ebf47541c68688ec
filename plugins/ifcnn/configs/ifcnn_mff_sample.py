"""IFCNN on the simulated multi-focus sample, for trying things out. Not the published training.

Published:  squared error and a perceptual distance (features of ResNet101) to the all-in-focus truth, which the sample
            lacks. Other terms replace them here; ifcnn_mff_nyud.py has the published ones.
Commands:   vlfusion prepare-data sample
            vlfusion train ifcnn/ifcnn_mff_sample
Needs:      IFCNN-MAX.pth in data/weights/ifcnn, for the frozen first layer; torchvision's ResNet101 works too.
Expected:   pictures and numbers in minutes on two CPU cores. The pairs are simulated, so the numbers mean nothing.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/sample_mff.py',
          'vlfusion::_base_/schedules/demo.py']

protocol = 'truncate'
model = dict(
    type='FusionModel',
    backbone=dict(type='vlfusion_ifcnn.IFCNN', normalise=True, first_layer='data/weights/ifcnn/IFCNN-MAX.pth'),
    losses=[dict(type='MeanIntensityLoss', weight=1.0), dict(type='MaxGradientLoss', weight=10.0)])

default_hooks = dict(checkpoint=dict(interval=20), logger=dict(interval=5))
