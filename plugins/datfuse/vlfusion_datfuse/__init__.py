"""DATFuse (Tang et al., IEEE TCSVT 2023) as a plugin of vlfusion: its network and the three terms of its loss."""

from vlfusion_datfuse.losses import GradientLoss, PixelLoss, StructureLoss
from vlfusion_datfuse.model import DATFuse

__all__ = ['DATFuse', 'GradientLoss', 'PixelLoss', 'StructureLoss']
