"""YDTR (Tang et al., IEEE TMM 2022) as a plugin of vlfusion: its network and the two terms of its loss."""

from vlfusion_ydtr.losses import SpatialFrequencyLoss, StructureLoss
from vlfusion_ydtr.model import YDTR

__all__ = ['YDTR', 'SpatialFrequencyLoss', 'StructureLoss']
