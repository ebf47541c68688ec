"""Scoring: protocols, the metrics as MMEngine calls them, and scores as tables."""

from vlfusion.evaluation.evaluator import FusionEvaluator
from vlfusion.evaluation.folder import FolderScores, score_folder

__all__ = ['FolderScores', 'FusionEvaluator', 'score_folder']
