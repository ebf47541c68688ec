"""MATR (Tang et al., IEEE TIP 2022) as a plugin of vlfusion: its network and the region term of its loss."""

from vlfusion_matr.losses import RegionMutualInformationLoss
from vlfusion_matr.model import MATR

__all__ = ['MATR', 'RegionMutualInformationLoss']
