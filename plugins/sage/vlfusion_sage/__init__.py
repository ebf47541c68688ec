"""SAGE (Wu et al., CVPR 2025): the small network that fuses; the large one that taught it is left out."""

from vlfusion_sage.losses import SourceLoss
from vlfusion_sage.model import SAGE

__all__ = ['SAGE', 'SourceLoss']
