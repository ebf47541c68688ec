"""Loss terms: `forward(fused, source_a, source_b) -> scalar`, plain modules with a weight."""

from vlfusion.losses.fidelity import LpLoss, SSIMLoss
from vlfusion.losses.gradient import MaxGradientLoss, sobel_magnitude
from vlfusion.losses.intensity import MaxIntensityLoss, MeanIntensityLoss
from vlfusion.losses.perceptual import PerceptualLoss

__all__ = ['LpLoss', 'MaxGradientLoss', 'MaxIntensityLoss', 'MeanIntensityLoss', 'PerceptualLoss', 'SSIMLoss',
           'sobel_magnitude']
