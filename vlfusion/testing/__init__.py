"""Checks that every entry of a registry must pass; plugins use them in their own tests.

Names are loaded on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'backbones': ['check_backbone', 'survey_backbone'],
    'language': ['check_captioner', 'check_llm', 'check_text_encoder'],
    'losses': ['check_loss'],
    'metrics': ['check_metric'],
})
