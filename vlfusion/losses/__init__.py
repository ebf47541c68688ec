"""Loss terms: modules with `forward(fused, source_a, source_b) -> scalar` and a weight.

A term that names more arguments (`truth`, `text`) gets them from the sample. The decorator `loss` turns a function into
a term.
"""

from vlfusion.losses.asked import (
    AskedGradientLoss,
    AskedIntensityLoss,
    ReadingLoss,
    RegionLoss,
    SwapLoss,
)
from vlfusion.losses.base import Image, Scalar, loss
from vlfusion.losses.fidelity import (
    DSSIMLoss,
    LpLoss,
    SquaredErrorLoss,
    SSIMLoss,
    dissimilarity,
    multi_scale_similarity,
    ssim_map,
)
from vlfusion.losses.gradient import AxisGradientLoss, MaxGradientLoss, axis_gradients, sobel_magnitude
from vlfusion.losses.intensity import MaxIntensityLoss, MeanIntensityLoss
from vlfusion.losses.kernels import derivative_kernels, symmetric_kernel
from vlfusion.losses.perceptual import PerceptualLoss
from vlfusion.losses.truth import TruthLoss

__all__ = ['AskedGradientLoss', 'AskedIntensityLoss', 'AxisGradientLoss', 'DSSIMLoss', 'Image',
           'LpLoss', 'MaxGradientLoss', 'MaxIntensityLoss', 'MeanIntensityLoss', 'PerceptualLoss', 'ReadingLoss',
           'RegionLoss', 'SSIMLoss', 'Scalar', 'SquaredErrorLoss', 'SwapLoss', 'TruthLoss',
           'axis_gradients', 'derivative_kernels', 'dissimilarity', 'loss', 'multi_scale_similarity',
           'sobel_magnitude', 'ssim_map', 'symmetric_kernel']
