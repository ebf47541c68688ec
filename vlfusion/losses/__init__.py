"""Loss terms: `forward(fused, source_a, source_b) -> scalar`, plain modules with a weight. One that names more
arguments (`truth`, `text`) gets them from the sample."""

from vlfusion.losses.fidelity import LpLoss, SSIMLoss
from vlfusion.losses.gradient import MaxGradientLoss, sobel_magnitude
from vlfusion.losses.intensity import MaxIntensityLoss, MeanIntensityLoss
from vlfusion.losses.perceptual import PerceptualLoss
from vlfusion.losses.truth import TruthLoss

__all__ = ['LpLoss', 'MaxGradientLoss', 'MaxIntensityLoss', 'MeanIntensityLoss', 'PerceptualLoss', 'SSIMLoss',
           'TruthLoss', 'sobel_magnitude']
