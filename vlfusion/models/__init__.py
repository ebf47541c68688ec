"""Models: a fusion network (backbone) and its losses in the one MMEngine model, `FusionModel`."""

from vlfusion.models.fusion_model import FusionModel, text_dims

__all__ = ['FusionModel', 'text_dims']
