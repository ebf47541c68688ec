"""FFMEF (Zheng et al., CVPR workshops 2023): a small network that predicts a filter for each pixel of the sources."""

from vlfusion_ffmef.losses import GradientFidelityLoss
from vlfusion_ffmef.model import FFMEF

__all__ = ['FFMEF', 'GradientFidelityLoss']
