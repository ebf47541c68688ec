"""Models: `FusionModel`, the one MMEngine model, holds a fusion network (backbone) and its losses."""

from vlfusion.models.clean_target_model import CleanTargetModel
from vlfusion.models.fusion_model import FusionModel, colour_strength, map_inputs, needed_texts, text_dims
from vlfusion.models.instructed_model import InstructedModel
from vlfusion.models.locality import Locality, locality

__all__ = ['CleanTargetModel', 'FusionModel', 'InstructedModel', 'Locality', 'colour_strength', 'locality',
           'map_inputs', 'needed_texts', 'text_dims']
