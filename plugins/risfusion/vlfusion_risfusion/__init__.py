"""RIS-FUSION (Ma et al., 2025): infrared-visible fusion in which each pixel attends to the words of a text."""

from vlfusion_risfusion.losses import EdgeLoss, JointEdgeLoss, ReferredRegionLoss, SimilarityLoss
from vlfusion_risfusion.model import RISFusion

__all__ = ['EdgeLoss', 'JointEdgeLoss', 'RISFusion', 'ReferredRegionLoss', 'SimilarityLoss']
