"""Scoring: folders and data sets, controls, rows of scores, their records and tables.

Names are loaded at first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'evaluator': ['FusionEvaluator'],
    'folder': ['FolderScores', 'score_folder'],
})
