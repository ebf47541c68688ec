"""NLG-fusion's network and losses, as released: the sum of the terms, with 0.6, 0.3 and 0.1, counts 0.6 times."""

model = dict(
    type='FusionModel',
    backbone=dict(type='vlfusion_nlgfusion.NLGFusion', text_dim=512),
    losses=[dict(type='MaxIntensityLoss', weight=0.6 * 0.6),
            dict(type='DSSIMLoss', weight=0.6 * 0.3, shares=(0.6, 0.4)),
            dict(type='MaxGradientLoss', weight=0.6 * 0.1)])
