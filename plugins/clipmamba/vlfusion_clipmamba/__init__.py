"""CLIP-Mamba (2025): convolutions and a selective scan for MRI-SPECT fusion, and a loss in CLIP's space."""

from vlfusion_clipmamba.losses import CLIPAlignmentLoss, EdgeLoss, StructureLoss
from vlfusion_clipmamba.model import CLIPMamba

__all__ = ['CLIPAlignmentLoss', 'CLIPMamba', 'EdgeLoss', 'StructureLoss']
