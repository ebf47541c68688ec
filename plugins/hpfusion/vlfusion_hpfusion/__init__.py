"""HPFusion (Yang et al., ICASSP 2025): infrared-visible fusion guided by answers to questions about each source."""

from vlfusion_hpfusion.losses import PerceptionLoss
from vlfusion_hpfusion.model import HPFusion

__all__ = ['HPFusion', 'PerceptionLoss']
