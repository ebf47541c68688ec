"""SeAFusion (Tang et al., Information Fusion 2022): infrared-visible fusion by gradient residual dense blocks."""

from vlfusion_seafusion.model import SeAFusion

__all__ = ['SeAFusion']
