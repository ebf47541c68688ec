"""LDFusion (Wang et al., ACM MM 2025) and AutoFuse, by the same authors: words in the loss, none in the network."""

from vlfusion_ldfusion.autofuse import AutoFuse
from vlfusion_ldfusion.contrastive import ContrastiveDirectionalLoss
from vlfusion_ldfusion.directional import CLIPDirectionalLoss, direction_loss
from vlfusion_ldfusion.features import MaxFeatureLoss
from vlfusion_ldfusion.model import LDFusion
from vlfusion_ldfusion.transforms import RandomView

__all__ = ['AutoFuse', 'CLIPDirectionalLoss', 'ContrastiveDirectionalLoss', 'LDFusion', 'MaxFeatureLoss',
           'RandomView', 'direction_loss']
