"""Text-IF (Yi et al., CVPR 2024): infrared-visible fusion, with an instruction that says which degradation to fix."""

from vlfusion_textif.degradations import DEGRADATIONS, Degrade, PackDegraded, read_instructions
from vlfusion_textif.losses import AxisGradientLoss
from vlfusion_textif.model import TextIF
from vlfusion_textif.training import TextIFModel

__all__ = ['DEGRADATIONS', 'AxisGradientLoss', 'Degrade', 'PackDegraded', 'TextIF', 'TextIFModel',
           'read_instructions']
