"""Meaning of scores: statistics, leaderboards, ablations, published numbers, sheets to look at."""
