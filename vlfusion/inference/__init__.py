"""Fusing with a trained network: pairs of any size, folders, files for other programs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'export': ['export_model'],
    'fuser': ['Fused', 'Fuser'],
    'network': ['PRECISIONS', 'Network'],
    'texts': ['Text', 'Texts', 'make_words'],
    'tiling': ['Plan', 'fuse_any_size'],
})
