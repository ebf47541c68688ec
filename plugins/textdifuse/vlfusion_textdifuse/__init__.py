"""Text-DiFuse (Zhang et al., NeurIPS 2024): fusion inside a diffusion model, with objects raised by a mask."""

from vlfusion_textdifuse.data import DegradedCopy, LimitShortSide
from vlfusion_textdifuse.losses import MaxEdgeLoss
from vlfusion_textdifuse.network import TextDiFuse
from vlfusion_textdifuse.training import TextDiFuseModel

__all__ = ['DegradedCopy', 'LimitShortSide', 'MaxEdgeLoss', 'TextDiFuse', 'TextDiFuseModel']
