"""Matching equals COCO's loop, written down once more. tests/downstream/scoring/test_detections.py compares scores."""

import numpy as np
import pytest

from vlfusion.downstream.scoring.drawn_detections import match
from vlfusion.downstream.scoring.variants import THRESHOLDS


def by_loops(overlaps, crowds):
    """A detection takes the free label that it overlaps most; the last of equals; crowds only if no label is left."""
    boxes, labels = overlaps.shape
    right, counted = np.zeros((10, boxes), bool), np.ones((10, boxes), bool)
    for level, threshold in enumerate(THRESHOLDS):
        taken = set()
        for box in range(boxes):
            best, value = None, min(threshold, 1 - 1e-10)
            for label in range(labels):
                if not crowds[label] and label not in taken and overlaps[box, label] >= value:
                    best, value = label, overlaps[box, label]
            if best is not None:
                taken.add(best)
                right[level, box] = True
            elif any(crowds[label] and overlaps[box, label] >= threshold for label in range(labels)):
                counted[level, box] = False
    return right, counted


@pytest.mark.parametrize('seed', range(12))
def test_matches(seed):
    rng = np.random.default_rng(seed)
    boxes, labels = rng.integers(1, 12), rng.integers(0, 7)
    overlaps = rng.choice([0, 0.3, 0.5, 0.55, 0.8, 0.8, 0.95, 1], (boxes, labels))
    crowds = rng.random(labels) < 0.3
    for found, expected in zip(match(overlaps, crowds), by_loops(overlaps, crowds), strict=True):
        assert found.tolist() == expected.tolist()
