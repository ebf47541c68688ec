"""IoU and accuracy of masks: of a set, of each class and of each image, in several published definitions of mIoU."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int, Integer

from vlfusion.downstream.classes import ClassTable
from vlfusion.downstream.interfaces import Mask
from vlfusion.downstream.scoring.pairing import paired
from vlfusion.downstream.scoring.set_scores import SetScores
from vlfusion.downstream.scoring.variants import MeanIoU, mean_iou_of
from vlfusion.errors import DataError, listing
from vlfusion.evaluation.rows import Row

#: Label of pixels that are never counted, besides the void class of a table.
IGNORED = 255
Confusion = Int[np.ndarray, 'label predicted']


@dataclass(frozen=True)
class MaskScores(SetScores):
    """Scores of the masks of a set, as `score_masks` returns them.

    Attributes:
        names: names of the images, sorted.
        classes: the class table.
        parts: confusion matrix of each image, `(image, label, predicted)`, in pixels.
        variant: name of the definition of mIoU, a key of `vlfusion.downstream.scoring.variants.MEAN_IOUS`.
    """

    names: tuple[str, ...]
    classes: ClassTable
    parts: Int[np.ndarray, 'image label predicted']
    variant: str = ''

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the scores with their variant: `mIoU`; `mAcc`, the mean accuracy of classes; and `accuracy`."""
        return tuple(name + f':{self.variant}' * bool(self.variant) for name in ('mIoU', 'mAcc', 'accuracy'))

    def score(self, parts: Int[np.ndarray, 'image label predicted']) -> Float[np.ndarray, ' column']:
        """Scores of the sum of these confusion matrices, in the order of `columns`."""
        rule, total = mean_iou_of(self.variant), np.sum(parts, 0)
        iou, accuracy = _ratios(total, rule, self.classes)
        counted = rule.counted(total, self.classes)
        # The void class has no right answer, so its pixels are no part of the accuracy of the others.
        labelled = counted[rule.evaluated(self.classes)].sum()
        right = np.diag(counted)[rule.evaluated(self.classes)].sum()
        return np.array([rule.mean(iou), rule.mean(accuracy), right / labelled if labelled else np.nan])

    def pooled(self, others: Sequence['MaskScores'] = ()) -> Callable[[np.ndarray], Float[np.ndarray, ' column']]:
        sides = np.stack([self.parts, *(other.parts for other in others)])
        return lambda counts: self.score(np.tensordot(counts, sides, 2)[None])

    @cached_property
    def per_class(self) -> dict[str, dict[str, float]]:
        """IoU, accuracy and numbers of pixels by class; NaN for a class that does not occur."""
        rule, total = mean_iou_of(self.variant), self.parts.sum(0)
        counted, kept = rule.counted(total, self.classes), rule.evaluated(self.classes)
        iou, accuracy = _ratios(total, rule, self.classes)
        return {self.classes.names[number]: {
            'IoU': iou[index].item(), 'accuracy': accuracy[index].item(), 'labels': int(counted[number].sum()),
            'predictions': int(counted[:, number].sum()), 'found': int(counted[number, number])}
            for index, number in enumerate(kept)}

    @property
    def unlabelled(self) -> list[str]:
        """Images without a score of their own, because no pixel has a label of a scored class.

        Predictions have no part in it, so all methods and seeds have rows of the same images.
        """
        kept = mean_iou_of(self.variant).evaluated(self.classes)
        return [name for name, part in zip(self.names, self.parts, strict=True) if not part[kept].sum()]

    @cached_property
    def rows(self) -> list[Row]:
        """Scores of each image alone, without those that are `unlabelled`.

        The mIoU of an image is the mean over the classes that occur in it. It does not depend on other images. The
        mean of these values is not the mIoU of the set, in which large things and rare classes count more.

        `sea` and `sea13` do not count pixels that are predicted as void. An image that is predicted as void wherever
        it has a label has no counted pixel, so by these definitions its scores are NaN, not 0.
        """
        left_out = {*self.unlabelled}
        return [{'name': name, **dict(zip(self.columns, self.score(part[None]).tolist(), strict=True))}
                for name, part in zip(self.names, self.parts, strict=True) if name not in left_out]


def score_masks(predictions: Mapping, labels: Mapping, classes: ClassTable, *,
                variant: str = '') -> MaskScores:
    """Score masks against labels.

        scores = score_masks({'00001D': predicted}, {'00001D': label}, get_classes('MSRS'))
        scores.values['mIoU'], scores.per_class['car']['IoU'], scores.rows[0]

    Args:
        predictions: number of each pixel's class, an array `(height, width)` of integers, by name of the image. A
            mapping may read a file at each access: each mask is read once, and no more than one pair is held.
        labels: the same for the labels. Pixels of 255 are not counted.
        classes: the class table of both.
        variant: definition of mIoU, a key of `vlfusion.downstream.scoring.variants.MEAN_IOUS`.

    Raises:
        DataError: images differ (all are named), or a mask has another size than its label or an unknown number.
        ConfigError: the definition does not fit the class table.
        UnknownNameError: there is no such definition.
    """
    mean_iou_of(variant).evaluated(classes)
    names = paired(predictions, labels)
    parts = [confusion(predictions[name], labels[name], len(classes), name) for name in names]
    return MaskScores(tuple(names), classes, np.stack(parts), variant)


def confusion(predicted: Integer[np.ndarray, '...'], label: Mask, classes: int, name: str = 'the image') -> Confusion:
    """Count pixels by their label and their prediction.

    Args:
        predicted: number of each pixel's class.
        label: the same for the label; pixels of 255 are not counted.
        classes: number of classes.
        name: name of the image, for errors.

    Raises:
        DataError: sizes differ, or a number is not below `classes`.

    >>> confusion(np.array([[0, 1]]), np.array([[0, 0]]), 2).tolist()
    [[1, 1], [0, 0]]
    """
    if predicted.shape != label.shape:
        raise DataError(f'The mask of {name} is {_size(predicted)}, but its label is {_size(label)}.',
                        'Predict in the size of the label, or resize the mask by nearest neighbours.')
    counted = label != IGNORED
    faults = [f'{who}: {", ".join(map(str, unknown[:5]))}' for who, values in
              (('predicted', predicted), ('labelled', label[counted]))
              if len(unknown := np.unique(values[(values < 0) | (values >= classes)]).tolist())]
    if faults:
        raise DataError(f'The mask of {name} holds numbers that are no classes:\n{listing(faults)}',
                        f'Numbers are 0 to {classes - 1}: give the class table of the labels, or index masks instead '
                        'of coloured ones.')
    index = classes * label[counted].astype(np.int64) + predicted[counted].astype(np.int64)
    return np.bincount(index, minlength=classes ** 2).reshape(classes, classes)


def _ratios(matrix: Confusion, rule: MeanIoU, classes: ClassTable
            ) -> tuple[Float[np.ndarray, ' evaluated'], Float[np.ndarray, ' evaluated']]:
    """IoU and accuracy of the evaluated classes; NaN where nothing occurs."""
    matrix, kept = rule.counted(matrix, classes), rule.evaluated(classes)
    found, labelled = np.diag(matrix)[kept], matrix.sum(1)[kept]
    either = labelled + matrix.sum(0)[kept] - found
    with np.errstate(invalid='ignore', divide='ignore'):
        return found / either, found / labelled


def _size(mask: np.ndarray) -> str:
    return ' x '.join(map(str, mask.shape)) or 'a number'
