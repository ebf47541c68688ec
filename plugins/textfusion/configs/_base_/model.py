"""Network and loss of TextFusion."""

model = dict(type='FusionModel', backbone=dict(type='vlfusion_textfusion.TextFusion', text_dim=512),
             losses=[dict(type='vlfusion_textfusion.AssociationLoss', weight=1.0)])
