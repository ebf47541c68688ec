"""Average precision of detections: of a set, of each class and of each image.

faster-coco-eval matches boxes and computes precision. Tests compare it with pycocotools. Its evaluator keeps the
matches of each image, so single images are scored without matching again. Drawn sets of images are scored by
`vlfusion.downstream.scoring.drawn_detections`, which is faster.

    Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014
    Everingham et al., "The PASCAL Visual Object Classes Challenge: A Retrospective", IJCV 111, 2015
"""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from vlfusion.downstream.boxes import Boxes
from vlfusion.downstream.classes import ClassTable
from vlfusion.downstream.scoring.drawn_detections import Matches, Pool
from vlfusion.downstream.scoring.pairing import paired
from vlfusion.downstream.scoring.set_scores import SetScores
from vlfusion.downstream.scoring.variants import POINTS, THRESHOLDS, check_average_precision
from vlfusion.errors import DataError, listing, needs
from vlfusion.evaluation.rows import Row

#: Most detections of a class in an image that count, those with the highest scores.
MOST = 100


class Part(NamedTuple):
    """Findings of the evaluator about an image: its matches for each class, which are opaque, and its counts."""

    matches: tuple
    labels: Int[np.ndarray, ' class']
    predictions: Int[np.ndarray, ' class']


@dataclass(frozen=True)
class DetectionScores(SetScores):
    """Scores of the detections of a set, as `score_detections` returns them.

    Attributes:
        names: names of the images, sorted.
        classes: the class table.
        parts: findings of the evaluator about each image.
        variant: name of the average precision, a key of `vlfusion.downstream.scoring.variants.AVERAGE_PRECISIONS`.
    """

    names: tuple[str, ...]
    classes: ClassTable
    parts: Sequence[Part]
    variant: str = ''
    _evaluator: Any = field(default=None, repr=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the scores: `AP50`, `AP75`, `AP` (the mean over IoU 0.5 to 0.95) with their variant, and `AR`."""
        ending = f':{self.variant}' * bool(self.variant)
        return f'AP50{ending}', f'AP75{ending}', f'AP{ending}', 'AR'

    def score(self, parts: Sequence[Part]) -> Float[np.ndarray, ' column']:
        """Means over the classes that have labels in these images, in the order of `columns`."""
        return _means(*self._curves(parts))

    def pooled(self, others: Sequence['DetectionScores'] = ()) -> Callable[[np.ndarray], Float[np.ndarray, ' column']]:
        labels = np.stack([part.labels for part in self.parts])
        return Pool([scores._matches for scores in (self, *others)], labels, self.variant)

    @cached_property
    def _matches(self) -> Matches:
        """Matches of all detections, in the form that drawn sets need."""
        return Matches.of(self._evaluator, len(self.names), len(self.classes))

    @cached_property
    def per_class(self) -> dict[str, dict[str, float]]:
        """Scores and counts by class; NaN for a class without labels.

        `found` counts labels that a detection of any score overlaps by at least 0.5.
        """
        precision, recall = self._curves(self.parts)
        columns = np.where(recall[0] < 0, np.nan, _columns(precision, recall))
        labels, predictions = (sum(part[index] for part in self.parts) for index in (1, 2))
        return {name: {**dict(zip(self.columns, columns[:, k].tolist(), strict=True)), 'labels': int(labels[k]),
                       'predictions': int(predictions[k]), 'found': _found(recall, labels)[k].item()}
                for k, name in enumerate(self.classes.names)}

    @property
    def unlabelled(self) -> list[str]:
        """Images without a score of their own, because they have no label. Detections in them are wrong in the set."""
        return [name for name, part in zip(self.names, self.parts, strict=True) if not part.labels.sum()]

    @cached_property
    def rows(self) -> list[Row]:
        """Scores and counts of each image alone, without those that are `unlabelled`.

        The AP of an image is the mean over the classes that have labels in it. It does not depend on other images, so
        confidences are compared within an image only, but a detector may be sure in one image and doubtful in another.
        The mean of these values is therefore not the AP of the set.
        """
        rows = []
        for name, part in zip(self.names, self.parts, strict=True):
            if not part.labels.sum():
                continue
            precision, recall = self._curves([part])
            rows.append({'name': name, **dict(zip(self.columns, _means(precision, recall).tolist(), strict=True)),
                         'labels': float(part.labels.sum()), 'predictions': float(part.predictions.sum()),
                         'found': float(_found(recall, part.labels).sum())})
        return rows

    def _curves(self, parts: Sequence[Part]
                ) -> tuple[Float[np.ndarray, 'threshold class'], Float[np.ndarray, 'threshold class']]:
        """Average precision and recall by threshold and class; -1 for classes without labels."""
        if self.variant in POINTS:
            precision, recall = self._accumulate([part.matches for part in parts], POINTS[self.variant])
            return precision.mean(1), recall
        # The area is the mean of the precision at each recall that can be reached, and these depend on the class.
        counts, curves = sum(part.labels for part in parts), []
        for k, count in enumerate(counts):
            points = np.arange(1, count + 1) / count if count else np.ones(1)
            precision, recall = self._accumulate([part.matches[k:k + 1] for part in parts], points)
            curves.append((precision.mean(1)[:, 0], recall[:, 0]))
        return tuple(np.stack(curve, 1) for curve in zip(*curves, strict=True))

    def _accumulate(self, matches: Sequence[tuple], points: Float[np.ndarray, ' point']
                    ) -> tuple[Float[np.ndarray, 'threshold point class'], Float[np.ndarray, 'threshold class']]:
        """Interpolated precision at points of recall, and the greatest recall."""
        evaluator = self._evaluator
        evaluator._paramsEval = copy(evaluator._paramsEval)
        evaluator._paramsEval.imgIds = list(range(len(matches)))
        evaluator._paramsEval.catIds = list(range(len(matches[0])))
        evaluator._paramsEval.recThrs = points
        evaluator._evalImgs_cpp = [match for of_class in zip(*matches, strict=True) for match in of_class]
        evaluator.accumulate()
        return evaluator.eval['precision'][:, :, :, 0, 0], evaluator.eval['recall'][:, :, 0, 0]


def score_detections(predictions: Mapping[str, Boxes], labels: Mapping[str, Boxes], classes: ClassTable, *,
                     variant: str = '', most: int = MOST) -> DetectionScores:
    """Score detections against labels.

        scores = score_detections({'00001': found}, {'00001': labelled}, get_classes('M3FD'))
        scores.values['AP50'], scores.per_class['Car']['AP50'], scores.rows[0]

    A detection is right if it has the class of a label and overlaps it by a threshold of IoU. Detections with higher
    scores choose first, and a label is found once. Labels that are `ignored` are COCO's crowds: detections that lie in
    them are neither right nor wrong.

    Args:
        predictions: boxes with scores by name of the image. An image without detections has empty boxes.
        labels: the same for the labels.
        classes: the class table of both.
        variant: average precision, a key of `vlfusion.downstream.scoring.variants.AVERAGE_PRECISIONS`. Each
            of them matches boxes by COCO's rule, which gives a detection another label if its nearest is taken; PASCAL
            VOC's own code counts such a detection as wrong.
        most: most detections of a class in an image that count, those with the highest scores.

    Raises:
        DataError: images differ, or boxes are not valid; all are named.
        UnknownNameError: there is no such average precision.
        ConfigError: faster-coco-eval is not installed.
    """
    check_average_precision(variant)
    names = paired(predictions, labels)
    faults = [f'{name}: {fault}' for side, scored in ((labels, False), (predictions, True)) for name in names
              if (fault := fault_of(side[name], len(classes), scored))]
    if faults:
        raise DataError(f'Boxes are not valid:\n{listing(faults)}', 'Corners are x0 <= x1 and y0 <= y1 in pixels, '
                        f'classes 0 to {len(classes) - 1}, and predictions have finite scores.')
    evaluator = _evaluate([predictions[name] for name in names], [labels[name] for name in names], classes, most)
    matches = np.empty((len(classes), len(names)), object)
    matches.flat = evaluator._evalImgs_cpp
    parts = [Part(tuple(matches[:, i]), _count(labels[name], len(classes)), _count(predictions[name], len(classes)))
             for i, name in enumerate(names)]
    return DetectionScores(tuple(names), classes, parts, variant, evaluator)


def fault_of(boxes: Boxes, classes: int, scored: bool) -> str:
    """Say what is wrong with boxes; empty if they are valid.

    Args:
        boxes: boxes of an image.
        classes: number of classes.
        scored: whether they need scores.
    """
    corners = np.asarray(boxes.corners, float).reshape(-1, 4)
    if scored and (boxes.scores is None or len(boxes.scores) != len(corners)):
        return f'{len(corners)} boxes without a score each'
    rules = {'has corners that are not finite': ~np.isfinite(corners).all(1),
             'ends before it begins': (corners[:, 2:] < corners[:, :2]).any(1),
             'has an unknown class': (boxes.classes < 0) | (boxes.classes >= classes)}
    if scored:
        rules['has a score that is not finite'] = ~np.isfinite(boxes.scores)
    return next((f'box {np.flatnonzero(wrong)[0] + 1} {words}' for words, wrong in rules.items() if wrong.any()), '')


def _columns(precision: Float[np.ndarray, 'threshold class'], recall: Float[np.ndarray, 'threshold class']
             ) -> Float[np.ndarray, 'column class']:
    """Scores of each class in the order of the columns."""
    return np.stack([precision[0], precision[5], precision.mean(0), recall.mean(0)])


def _means(precision: Float[np.ndarray, 'threshold class'], recall: Float[np.ndarray, 'threshold class']
           ) -> Float[np.ndarray, ' column']:
    """Means of the scores over classes with labels; NaN if there is none."""
    columns = _columns(precision, recall)[:, recall[0] >= 0]
    return columns.mean(1) if columns.size else np.full(len(columns), np.nan)


def _found(recall: Float[np.ndarray, 'threshold class'], labels: Int[np.ndarray, ' class']
           ) -> Int[np.ndarray, ' class']:
    return np.rint(np.maximum(recall[0], 0) * labels).astype(int)


def _count(boxes: Boxes, classes: int) -> Int[np.ndarray, ' class']:
    counted = boxes.classes if boxes.ignored is None else boxes.classes[~boxes.ignored]
    return np.bincount(counted.astype(int), minlength=classes)


def _evaluate(predictions: Sequence[Boxes], labels: Sequence[Boxes], classes: ClassTable, most: int) -> Any:
    """Match the boxes of each class and image, and return the evaluator."""
    with needs('Scoring detections', 'faster_coco_eval', 'downstream'):
        from faster_coco_eval import COCO, COCOeval_faster

    def dataset(sides: Sequence[Boxes]) -> COCO:
        things = COCO()
        things.dataset = {
            'images': [{'id': index} for index in range(len(sides))],
            'categories': [{'id': number, 'name': name} for number, name in enumerate(classes.names)],
            'annotations': [{**thing, 'id': index} for index, thing in enumerate(
                (thing for image, boxes in enumerate(sides) for thing in _annotations(boxes, image)), 1)]}
        things.createIndex()
        return things

    evaluator = COCOeval_faster(dataset(labels), dataset(predictions), 'bbox', separate_eval=True)
    parameters = evaluator.params
    parameters.imgIds, parameters.catIds = list(range(len(labels))), list(range(len(classes)))
    parameters.iouThrs, parameters.maxDets = THRESHOLDS, [most]
    parameters.areaRng, parameters.areaRngLbl = [[0, 1e10]], ['all']
    evaluator.evaluate()
    return evaluator


def _annotations(boxes: Boxes, image: int) -> list[dict[str, Any]]:
    """Boxes as annotations of COCO."""
    corners = np.asarray(boxes.corners, float).reshape(-1, 4)
    sizes = corners[:, 2:] - corners[:, :2]
    columns = {'bbox': np.hstack([corners[:, :2], sizes]), 'category_id': boxes.classes,
               'area': sizes.prod(1) if boxes.areas is None else boxes.areas,
               'iscrowd': np.zeros(len(corners), int) if boxes.ignored is None else boxes.ignored.astype(int)}
    if boxes.scores is not None:
        columns['score'] = boxes.scores
    return [{'image_id': image, **dict(zip(columns, values, strict=True))}
            for values in zip(*(column.tolist() for column in columns.values()), strict=True)]
