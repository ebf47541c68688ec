"""Scores of predictions against labels: average precision of boxes, and mean intersection over union of masks."""
