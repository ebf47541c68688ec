"""The classical methods of plugins/classical, which need no weights and fuse every task."""

methods = {name: dict(model=dict(type='FusionModel', backbone=dict(type=f'vlfusion_classical.{name}')))
           for name in ('Average', 'Maximum', 'LaplacianPyramid', 'DiscreteWavelet', 'DTCWT', 'GuidedFilterFusion',
                        'MertensFusion', 'FocusMeasureFusion', 'CrossBilateralFusion')}
