"""Comparing methods: which differences are real, and tables that say so."""

from vlfusion.benchmark.leaderboard import Leaderboard, leaderboard
from vlfusion.benchmark.statistics import Comparison, compare

__all__ = ['Comparison', 'Leaderboard', 'compare', 'leaderboard']
