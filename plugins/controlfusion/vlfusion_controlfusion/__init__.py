"""ControlFusion (Tang et al., NeurIPS 2025): fusion and restoration under a text, or under its prediction."""

from vlfusion_controlfusion.degradations import DEGRADATIONS, Degrade
from vlfusion_controlfusion.model import ControlFusion
from vlfusion_controlfusion.training import ControlFusionModel

__all__ = ['DEGRADATIONS', 'ControlFusion', 'ControlFusionModel', 'Degrade']
