"""Text-IF (Yi et al., CVPR 2024): infrared-visible fusion, with an instruction that says which degradation to fix."""

from vlfusion_textif.degradations import DEGRADATIONS, Degrade
from vlfusion_textif.model import TextIF
from vlfusion_textif.training import TextIFModel

__all__ = ['DEGRADATIONS', 'Degrade', 'TextIF', 'TextIFModel']
