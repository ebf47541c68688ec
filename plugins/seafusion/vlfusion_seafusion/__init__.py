"""SeAFusion (Tang et al., Information Fusion 2022) as a plugin of vlfusion. Its losses are vlfusion's own."""

from vlfusion_seafusion.model import SeAFusion

__all__ = ['SeAFusion']
