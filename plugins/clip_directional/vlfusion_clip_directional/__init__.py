"""The language-driven loss of LDFusion (Wang et al., ACM MM 2025), for any backbone: text enters the loss only."""

from vlfusion_clip_directional.loss import CLIPDirectionalLoss, direction_loss

__all__ = ['CLIPDirectionalLoss', 'direction_loss']
