"""LUT-Fuse (Yi et al., ICCV 2025): infrared-visible fusion by a learned look-up table, distilled from a teacher."""

from vlfusion_lutfuse.model import LUTFuse
from vlfusion_lutfuse.training import LUTFuseModel

__all__ = ['LUTFuse', 'LUTFuseModel']
