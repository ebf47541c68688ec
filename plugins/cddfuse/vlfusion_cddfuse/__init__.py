"""CDDFuse: correlation-driven dual-branch feature decomposition for multi-modality image fusion (CVPR 2023)."""

from vlfusion_cddfuse.data import PatchDataset
from vlfusion_cddfuse.network import CDDFuse
from vlfusion_cddfuse.training import CDDFuseModel, PerModuleOptimizers, PhaseHook

__all__ = ['CDDFuse', 'CDDFuseModel', 'PatchDataset', 'PerModuleOptimizers', 'PhaseHook']
