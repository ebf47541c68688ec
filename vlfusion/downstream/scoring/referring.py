"""Scores of referring expressions: the overlap of the mask that was found with that of the thing that was named."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from vlfusion.downstream.classes import ClassTable
from vlfusion.downstream.scoring.pairing import paired
from vlfusion.downstream.scoring.set_scores import SetScores
from vlfusion.errors import DataError
from vlfusion.evaluation.rows import Row

#: IoU that a mask must reach to count as right.
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
CLASSES = ClassTable(('referred',))


@dataclass(frozen=True)
class ReferringScores(SetScores):
    """Scores of the masks of a set of sentences, as `score_referring` returns them.

    - `mIoU`: mean over sentences of intersection / union
    - `oIoU`: sum of all intersections / sum of all unions, in which large things count more
    - `P@0.5` to `P@0.9`: part of the sentences whose IoU reaches the threshold

    These are the definitions of LAVT and RIS-FUSION. If both masks are empty, the IoU is 0, as there. RIS-FUSION
    resizes labels and predictions to 480x480 before; scores at the size of the images differ a little.

    Attributes:
        names: names of the sentences, sorted.
        parts: intersection and union of each sentence in pixels.
        classes: one class, what the sentence names.
        variant: empty; there is one definition.
    """

    names: tuple[str, ...]
    parts: Int[np.ndarray, 'sentence 2']
    classes: ClassTable = CLASSES
    variant: str = ''

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the scores."""
        return 'mIoU', 'oIoU', *(f'P@{threshold}' for threshold in THRESHOLDS)

    def score(self, parts: Int[np.ndarray, 'sentence 2']) -> Float[np.ndarray, ' column']:
        """Scores of a set of sentences, in the order of `columns`."""
        intersections, unions = np.asarray(parts).T
        ious = _ratio(intersections, unions)
        return np.array([ious.mean(), _ratio(intersections.sum(), unions.sum()),
                         *((ious >= threshold).mean() for threshold in THRESHOLDS)])

    @cached_property
    def per_class(self) -> dict[str, dict[str, float]]:
        """Scores and the number of sentences of the only class."""
        return {CLASSES.names[0]: {**self.values, 'sentences': len(self.names)}}

    @property
    def unlabelled(self) -> list[str]:
        """No sentence: the score of an empty mask is 0."""
        return []

    @cached_property
    def rows(self) -> list[Row]:
        """IoU of each sentence, as the first column."""
        return [{'name': name, 'mIoU': iou} for name, iou in zip(self.names, _ratio(*self.parts.T).tolist(),
                                                                 strict=True)]


def score_referring(predictions: Mapping, labels: Mapping) -> ReferringScores:
    """Score the masks that were found for sentences.

        scores = score_referring({'00001D-0': found}, {'00001D-0': referred.mask})
        scores.values['oIoU'], scores.rows[0]

    Sentences about one pair are not independent. For intervals and tests, give the names of their pairs as `cases` to
    `vlfusion.downstream.scoring.comparing.intervals`.

    Args:
        predictions: mask of each sentence, `(height, width)`, above 0 in the thing. A mapping may read a file at each
            access: each mask is read once.
        labels: the same for the labels.

    Raises:
        DataError: sentences differ (all are named), or a mask has another size than its label.
    """
    names = paired(predictions, labels)
    return ReferringScores(tuple(names), np.array([_overlap(predictions[name], labels[name], name) for name in names]))


def _overlap(predicted: np.ndarray, label: np.ndarray, name: str) -> tuple[int, int]:
    predicted, label = np.asarray(predicted) > 0, np.asarray(label) > 0
    if predicted.shape != label.shape:
        raise DataError(f'The mask of {name} has the shape {predicted.shape}, but its label {label.shape}.',
                        'Predict in the size of the label, or resize the mask by nearest neighbours.')
    return int((predicted & label).sum()), int((predicted | label).sum())


def _ratio(intersections: np.ndarray | np.integer, unions: np.ndarray | np.integer) -> np.ndarray | np.floating:
    return intersections / np.maximum(unions, 1)
