"""LRRNet (Li et al., TPAMI 2023): infrared-visible fusion by unrolled low-rank representation."""

from vlfusion_lrrnet.losses import VisibleLoss
from vlfusion_lrrnet.model import LRRNet

__all__ = ['LRRNet', 'VisibleLoss']
