"""Classical fusion methods as backbones without parameters: nothing to train, nothing to download."""

from vlfusion_classical.average import Average
from vlfusion_classical.cross_bilateral import CrossBilateralFusion
from vlfusion_classical.discrete_wavelet import DiscreteWavelet
from vlfusion_classical.dtcwt import DTCWT
from vlfusion_classical.focus_measure import FocusMeasureFusion
from vlfusion_classical.guided_filter import GuidedFilterFusion
from vlfusion_classical.laplacian_pyramid import LaplacianPyramid
from vlfusion_classical.maximum import Maximum
from vlfusion_classical.mertens import MertensFusion

__all__ = ['DTCWT', 'Average', 'CrossBilateralFusion', 'DiscreteWavelet', 'FocusMeasureFusion', 'GuidedFilterFusion',
           'LaplacianPyramid', 'Maximum', 'MertensFusion']
