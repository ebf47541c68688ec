"""Scoring: protocols, the metrics as MMEngine calls them, and scores as tables.

Names are loaded when they are asked for.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'evaluator': ['FusionEvaluator'],
    'folder': ['FolderScores', 'score_folder'],
})
