"""Captioners: images in, observations out. Registered in `CAPTIONERS`."""

from vlfusion.language.captioners.measured import MeasuredCaptioner

__all__ = ['MeasuredCaptioner']
