"""LDFusion's language-driven loss (Wang et al., ACM MM 2025): text in the loss only, for any backbone."""

from vlfusion_clip_directional.loss import CLIPDirectionalLoss, direction_loss

__all__ = ['CLIPDirectionalLoss', 'direction_loss']
