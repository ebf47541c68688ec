"""DATFuse (Tang et al., IEEE TCSVT 2023): a small dual attention transformer for infrared-visible fusion."""

from vlfusion_datfuse.losses import GradientLoss, PixelLoss, StructureLoss
from vlfusion_datfuse.model import DATFuse

__all__ = ['DATFuse', 'GradientLoss', 'PixelLoss', 'StructureLoss']
