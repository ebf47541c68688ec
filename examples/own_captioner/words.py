"""Measured facts and hot spots, joined by a template: a recipe of words for `--words words.py`."""

_base_ = ['vlfusion::_base_/language/measured.py']
custom_imports = dict(imports=['hot_spots'])
language = dict(captioners=[dict(type='MeasuredCaptioner'), dict(type='HotSpotCaptioner', above=0.7)])
