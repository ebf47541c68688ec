"""FFMEF (Zheng et al., CVPR workshops 2023) as a plugin of vlfusion: the network and its loss."""

from vlfusion_ffmef.losses import GradientFidelityLoss
from vlfusion_ffmef.model import FFMEF

__all__ = ['FFMEF', 'GradientFidelityLoss']
