"""CLIP-Mamba on the simulated MRI-PET sample, for trying things out.

Commands:   vlfusion prepare-data sample
            vlfusion train clipmamba/clipmamba_mif_sample
Expected:   pictures and numbers in minutes on two CPU cores. The pairs are simulated, so the numbers mean nothing.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/sample_mif.py',
          'vlfusion::_base_/schedules/demo.py']

protocol = 'truncate'
model = dict(
    type='FusionModel',
    backbone=dict(type='vlfusion_clipmamba.CLIPMamba'),
    losses=[dict(type='vlfusion_clipmamba.StructureLoss', weight=10.0),
            dict(type='vlfusion_clipmamba.EdgeLoss', weight=100.0)])
