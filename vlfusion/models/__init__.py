"""Models: `FusionModel`, the one MMEngine model, holds a fusion network (backbone) and its losses."""

from vlfusion.models.fusion_model import FusionModel, map_inputs, text_dims
from vlfusion.models.locality import Locality, locality

__all__ = ['FusionModel', 'Locality', 'locality', 'map_inputs', 'text_dims']
