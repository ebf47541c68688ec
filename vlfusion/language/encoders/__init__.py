"""Text encoders: paragraphs in, token features out. Registered in `TEXT_ENCODERS`."""

from vlfusion.language.encoders.blip2 import Blip2TextEncoder
from vlfusion.language.encoders.open_clip_encoder import OpenCLIPTextEncoder
from vlfusion.language.encoders.sentence_encoder import SentenceTransformersEncoder
from vlfusion.language.encoders.transformers_encoder import TransformersTextEncoder

__all__ = ['Blip2TextEncoder', 'OpenCLIPTextEncoder', 'SentenceTransformersEncoder', 'TransformersTextEncoder']
