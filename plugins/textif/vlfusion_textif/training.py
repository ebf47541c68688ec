"""Training of Text-IF (Yi et al., CVPR 2024) against clean targets, with loss weights for each degradation."""

from vlfusion.models.clean_target_model import CleanTargetModel
from vlfusion.registry import MODELS
from vlfusion_textif.degradations import DEGRADATIONS


@MODELS.register_module()
class TextIFModel(CleanTargetModel):
    """A `CleanTargetModel` for the degradations of Text-IF; arguments and errors are the same."""

    degradations = DEGRADATIONS
