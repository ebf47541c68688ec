"""Captioners: images in, observations out. Registered in `CAPTIONERS`."""

from vlfusion.language.captioners.detector import OpenVocabularyDetector
from vlfusion.language.captioners.florence import FlorenceCaptioner
from vlfusion.language.captioners.masks import SamMasks
from vlfusion.language.captioners.measured import MeasuredCaptioner
from vlfusion.language.captioners.open_clip_tagger import OpenCLIPTagger
from vlfusion.language.captioners.openai_captioner import OpenAICaptioner, OpenAIPairCaptioner
from vlfusion.language.captioners.timm_classifier import TimmClassifier
from vlfusion.language.captioners.transformers_captioner import (
    ChatVLMCaptioner,
    ChatVLMPairCaptioner,
    TransformersCaptioner,
)

__all__ = ['ChatVLMCaptioner', 'ChatVLMPairCaptioner', 'FlorenceCaptioner', 'MeasuredCaptioner', 'OpenAICaptioner',
           'OpenAIPairCaptioner', 'OpenCLIPTagger', 'OpenVocabularyDetector', 'SamMasks', 'TimmClassifier',
           'TransformersCaptioner']
