"""NLG-fusion (2024): infrared-visible fusion under three texts, about the task and about each source."""

from vlfusion_nlgfusion.model import NLGFusion

__all__ = ['NLGFusion']
