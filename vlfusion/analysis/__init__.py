"""Analysis of scores: statistics, leaderboards, ablations, published numbers, contact sheets."""
