"""SAGE (Wu et al., CVPR 2025): the small network that fuses, without the large network that taught it."""

from vlfusion_sage.losses import SourceLoss
from vlfusion_sage.model import SAGE

__all__ = ['SAGE', 'SourceLoss']
