"""Scores of detections and masks of any program: of a set, of each class and image, with intervals and significance."""
