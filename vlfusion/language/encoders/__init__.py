"""Text encoders: paragraphs in, token features out. Registered in `TEXT_ENCODERS`."""

from vlfusion.language.encoders.transformers_encoder import TransformersTextEncoder

__all__ = ['TransformersTextEncoder']
