"""Backbones: fusion networks with `forward(source_a, source_b, text=None, text_mask=None) -> fused`."""

from vlfusion.models.backbones.film import FILM
from vlfusion.models.backbones.timm_fusion import TimmFusion

__all__ = ['FILM', 'TimmFusion']
