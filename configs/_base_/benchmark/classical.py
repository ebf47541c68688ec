"""The classical methods of plugins/classical, which need no weights and fuse every task."""

methods = dict(
    Average='average', Maximum='maximum', LaplacianPyramid='laplacian', DiscreteWavelet='wavelet', DTCWT='dtcwt',
    GuidedFilterFusion='guided-filter', MertensFusion='mertens', FocusMeasureFusion='focus-measure',
    CrossBilateralFusion='cross-bilateral')
