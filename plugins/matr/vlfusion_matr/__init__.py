"""MATR (Tang et al., IEEE TIP 2022): a multiscale adaptive transformer for medical image fusion."""

from vlfusion_matr.losses import RegionMutualInformationLoss
from vlfusion_matr.model import MATR

__all__ = ['MATR', 'RegionMutualInformationLoss']
