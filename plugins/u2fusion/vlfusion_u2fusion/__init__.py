"""U2Fusion (Xu et al., TPAMI 2022): one densely connected network for every fusion task."""

from vlfusion_u2fusion.losses import InformationPreservationLoss
from vlfusion_u2fusion.model import U2Fusion
from vlfusion_u2fusion.transforms import SwapSources

__all__ = ['InformationPreservationLoss', 'SwapSources', 'U2Fusion']
