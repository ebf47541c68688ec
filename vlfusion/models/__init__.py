"""Models: a fusion network (backbone) and its losses in the one MMEngine model, `FusionModel`."""

from vlfusion.models.fusion_model import FusionModel

__all__ = ['FusionModel']
