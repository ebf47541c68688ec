"""HPFusion's network and losses, as released: its gradient term is that of the maximum plus 20 times that of edges."""

model = dict(
    type='FusionModel',
    backbone=dict(type='vlfusion_hpfusion.HPFusion', text_dim=1024),
    losses=[dict(type='DSSIMLoss', weight=1.0),
            dict(type='SquaredErrorLoss', weight=0.2),
            dict(type='MaxIntensityLoss', weight=0.8),
            dict(type='MaxGradientLoss', weight=0.8 * 20)])
