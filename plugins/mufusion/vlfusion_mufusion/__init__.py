"""MUFusion (Cheng et al., Information Fusion 2023): a network that also learns from its own earlier results."""

from vlfusion_mufusion.losses import ContentLoss
from vlfusion_mufusion.model import MUFusion
from vlfusion_mufusion.training import MUFusionModel

__all__ = ['ContentLoss', 'MUFusion', 'MUFusionModel']
