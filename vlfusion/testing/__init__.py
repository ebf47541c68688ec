"""Checks that hold for every entry of a registry; plugins use them in their own tests."""

from vlfusion.testing.backbones import check_backbone, survey_backbone
from vlfusion.testing.language import check_captioner, check_llm, check_text_encoder
from vlfusion.testing.losses import check_loss
from vlfusion.testing.metrics import check_metric

__all__ = ['check_backbone', 'check_captioner', 'check_llm', 'check_loss', 'check_metric', 'check_text_encoder',
           'survey_backbone']
