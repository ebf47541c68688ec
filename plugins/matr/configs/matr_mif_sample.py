"""MATR on the simulated MRI-PET sample, for trying things out.

Commands:   vlfusion prepare-data sample
            vlfusion train matr/matr_mif_sample
Expected:   pictures and numbers in a minute on two CPU cores. The pairs are simulated, so the numbers mean nothing.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/sample_mif.py',
          'vlfusion::_base_/schedules/demo.py']

protocol = 'truncate'
model = dict(
    type='FusionModel',
    backbone=dict(type='vlfusion_matr.MATR'),
    losses=[dict(type='SSIMLoss', weight=1.0, window=11),
            dict(type='vlfusion_matr.RegionMutualInformationLoss', weight=1.0, weight_a=2.5, weight_b=1.0)])
