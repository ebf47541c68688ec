"""Average precision of drawn sets of images, thousands of times.

The evaluator of faster-coco-eval sorts all detections of each set again. Here they are matched and sorted once, and a
drawn set is a count for each image. An image that is drawn twice counts its labels and detections twice, which gives
the same curve as a copy of it, except for the order of equal scores inside the image, which means nothing. Tests
compare both, and matches with pycocotools.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from vlfusion.downstream.scoring.variants import POINTS, THRESHOLDS


@dataclass(frozen=True)
class Matches:
    """Detections of a set, each class for itself, in the order of images and then of falling scores.

    Attributes:
        images: for each class, the index of the image of each detection.
        scores: for each class, the score of each detection.
        right: for each class, `(threshold, detection)`, whether a detection found a label.
        counted: the same, whether a detection is right or wrong; False if it lies in a label that is ignored.
    """

    images: list[np.ndarray]
    scores: list[np.ndarray]
    right: list[np.ndarray]
    counted: list[np.ndarray]

    @classmethod
    def of(cls, evaluator: Any, images: int, classes: int) -> 'Matches':
        """Take the overlaps that an evaluator of faster-coco-eval has computed, and match boxes by COCO's rule."""
        most = evaluator.params.maxDets[-1]
        columns: tuple[list, ...] = ([], [], [], [])
        for kind in range(classes):
            rows = []
            for image in range(images):
                scores = np.array([thing['score'] for thing in evaluator.cocoDt.imgToAnns[image]
                                   if thing['category_id'] == kind], float)
                if not len(scores):
                    continue
                scores = scores[np.argsort(-scores, kind='stable')][:most]
                crowds = np.array([thing['iscrowd'] for thing in evaluator.cocoGt.imgToAnns[image]
                                   if thing['category_id'] == kind], bool)
                overlaps = np.asarray(evaluator.ious[image, kind], float).reshape(len(scores), -1)
                rows.append((np.full(len(scores), image), scores, *match(overlaps, crowds[:overlaps.shape[1]])))
            rows = rows or [(np.zeros(0, int), np.zeros(0), *(np.zeros((len(THRESHOLDS), 0), bool),) * 2)]
            for column, parts in zip(columns, zip(*rows, strict=True), strict=True):
                column.append(np.concatenate(parts, -1))
        return cls(*columns)


def match(overlaps: Float[np.ndarray, 'box label'], crowds: Bool[np.ndarray, ' label']
          ) -> tuple[Bool[np.ndarray, 'threshold box'], Bool[np.ndarray, 'threshold box']]:
    """Match detections, in the order of falling scores, with labels of their class in their image.

    A detection takes the label that it overlaps most among those that are left. If none is left, it may lie in a crowd.

    Args:
        overlaps: IoU of each detection with each label.
        crowds: labels that are ignored.

    Returns:
        For each threshold, whether a detection is right, and whether it counts.

    >>> right, counted = match(np.array([[0.6, 0.7], [0.9, 0.8]]), np.array([False, False]))
    >>> right.sum(0).tolist(), counted.all().item()
    ([5, 9], True)
    """
    limits = np.minimum(THRESHOLDS, 1 - 1e-10)
    right = np.zeros((len(limits), len(overlaps)), bool)
    counted = np.ones_like(right)
    labels, others = overlaps[:, ~crowds], overlaps[:, crowds]
    taken, levels = np.zeros((len(limits), labels.shape[1]), bool), np.arange(len(limits))
    for box in np.flatnonzero((overlaps >= limits[0]).any(1)):
        if labels.shape[1]:
            free = np.where(~taken & (labels[box] >= limits[:, None]), labels[box], -1)
            best = free.shape[1] - 1 - free[:, ::-1].argmax(1)  # the last of equals, as in COCO's loop
            right[:, box] = free[levels, best] >= 0
            taken[levels[right[:, box]], best[right[:, box]]] = True
        counted[:, box] = right[:, box] | ~(others[box] >= limits[:, None]).any(1)
    return right, counted


class Pool:
    """Detections of several methods on the same images, from which sets are drawn.

    Args:
        methods: matches of each method.
        labels: number of labels that count, by image and class.
        variant: name of the average precision.
    """

    def __init__(self, methods: Sequence[Matches], labels: Int[np.ndarray, 'image class'], variant: str):
        self.labels, self.variant = labels, variant
        self.classes = [self._sorted(methods, kind) for kind in range(labels.shape[1])]

    def _sorted(self, methods: Sequence[Matches], kind: int) -> tuple[np.ndarray, list[np.ndarray], list | None]:
        """Place of each detection in the table of counts by falling scores; for each threshold the right ones and,
        if some do not count, those that do."""
        count = len(self.labels)
        places = np.concatenate([method.images[kind] + count * index for index, method in enumerate(methods)])
        scores = np.concatenate([method.scores[kind] for method in methods])
        right = np.concatenate([method.right[kind] for method in methods], 1)
        counted = np.concatenate([method.counted[kind] for method in methods], 1)
        # Equal scores keep the order of images; inside an image each method has the order of its own.
        order = np.lexsort((places % count, -scores))
        right, counted = right[:, order], counted[:, order]
        return places[order], [np.flatnonzero(row) for row in right], None if counted.all() else list(counted)

    def __call__(self, counts: Int[np.ndarray, 'method image']) -> Float[np.ndarray, ' column']:
        """Score a drawn set: AP50, AP75, AP and AR, means over the classes that have labels in it."""
        labels, flat = counts.sum(0) @ self.labels, counts.ravel().astype(float)
        curves = [self._curve(kind, flat, number) for kind, number in enumerate(labels.tolist()) if number]
        if not curves:
            return np.full(4, np.nan)
        precision, recall = np.moveaxis(np.array(curves), 2, 0)
        return np.array([precision[:, 0].mean(), precision[:, 5].mean(), precision.mean(), recall.mean()])

    def _curve(self, kind: int, counts: Float[np.ndarray, ' place'], labels: int) -> list[tuple[float, float]]:
        """Average precision and recall of a class at each threshold."""
        places, right, counted = self.classes[kind]
        drawn, curve = counts[places], []
        every = drawn.cumsum() if counted is None else None
        for level, found in enumerate(right):
            so_far = every if every is not None else (drawn * counted[level]).cumsum()
            weights = drawn[found]
            hits = weights.cumsum()
            if not len(hits) or not hits[-1]:
                curve.append((0., 0.))
                continue
            precision = np.maximum.accumulate((hits / (so_far[found] + np.spacing(1)))[::-1])[::-1]
            if self.variant in POINTS:
                reached = (hits / labels).searchsorted(POINTS[self.variant])
                value = precision[reached[reached < len(hits)]].sum() / len(POINTS[self.variant])
            else:
                value = (precision * weights).sum() / labels
            curve.append((value, hits[-1] / labels))
        return curve
