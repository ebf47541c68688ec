"""TextFusion (Cheng et al., Information Fusion 2025): a sentence gates the infrared features of a small network."""

from vlfusion_textfusion.losses import AssociationLoss
from vlfusion_textfusion.model import TextFusion
from vlfusion_textfusion.transforms import AssociateBright

__all__ = ['AssociateBright', 'AssociationLoss', 'TextFusion']
