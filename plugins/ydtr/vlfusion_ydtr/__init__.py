"""YDTR (Tang et al., IEEE TMM 2022): a Y-shaped transformer for infrared-visible fusion."""

from vlfusion_ydtr.losses import SpatialFrequencyLoss, StructureLoss
from vlfusion_ydtr.model import YDTR

__all__ = ['YDTR', 'SpatialFrequencyLoss', 'StructureLoss']
