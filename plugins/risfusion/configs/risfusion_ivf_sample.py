"""The fusion network of RIS-FUSION on the simulated infrared-visible sample, for trying things out.

Commands:   vlfusion prepare-data sample
            vlfusion describe risfusion/risfusion_ivf_sample
            vlfusion train risfusion/risfusion_ivf_sample
Expected:   pictures and numbers in a minute on two CPU cores. The pairs are simulated, so the numbers mean nothing.
"""

_base_ = ['vlfusion::_base_/runtime.py', 'vlfusion::_base_/datasets/sample_ivf.py',
          'vlfusion::_base_/schedules/demo.py', 'vlfusion::_base_/language/measured.py']

protocol = 'plain'
model = dict(
    type='FusionModel', backbone=dict(type='vlfusion_risfusion.RISFusion', text_dim=384),
    losses=[dict(type='vlfusion_risfusion.SimilarityLoss', weight=3.0, shares=(0.0, 0.5)),
            dict(type='SquaredErrorLoss', weight=3.0, shares=(2.0, 0.5)),
            dict(type='vlfusion_risfusion.EdgeLoss', weight=3.0, shares=(1.0, 0.0)),
            dict(type='vlfusion_risfusion.JointEdgeLoss', weight=3.0)])

default_hooks = dict(checkpoint=dict(interval=20), logger=dict(interval=5))
