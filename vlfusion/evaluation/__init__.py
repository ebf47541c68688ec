"""Scoring: protocols, the metrics as MMEngine calls them, and scores as tables."""

from vlfusion.evaluation.evaluator import FusionEvaluator

__all__ = ['FusionEvaluator']
