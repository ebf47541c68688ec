"""Definitions of mIoU in published code, by name, and of average precision.

They give different numbers for the same predictions, see docs/explain/miou.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from vlfusion.downstream.classes import ClassTable
from vlfusion.errors import ConfigError, UnknownNameError, did_you_mean


@dataclass(frozen=True)
class MeanIoU:
    """A definition of mIoU over the confusion matrix of a set.

    Attributes:
        note: the definition in words.
        source: code that computes it.
        void: part of pixels and predictions of the void class. `class`: it is a class like others. `unnamed`: it is not
            in the mean, but a class that is predicted there is wrong. `unlabelled`: pixels whose label is void are not
            counted. `gone`: also pixels that are predicted as void are not counted, even if they have a label.
        absent: IoU of a class that occurs neither in labels nor in predictions: `skip` leaves it out of the mean, `nan`
            makes the mean NaN, `zero` counts it as 0.
        without: names of further classes that are treated like void.
    """

    note: str
    source: str
    void: Literal['class', 'unnamed', 'unlabelled', 'gone']
    absent: Literal['skip', 'nan', 'zero'] = 'skip'
    without: tuple[str, ...] = ()

    def evaluated(self, classes: ClassTable) -> Int[np.ndarray, ' evaluated']:
        """Numbers of the classes in the mean.

        Raises:
            ConfigError: the table lacks a class that the definition leaves out, or no class remains.
        """
        names = {name.casefold(): number for number, name in enumerate(classes.names)}
        if lacking := [name for name in self.without if name.casefold() not in names]:
            raise ConfigError(f'This mIoU leaves out {", ".join(lacking)}, but the classes are '
                              f'{", ".join(classes.names)}.', 'Choose a definition that fits the data set.')
        left_out = {names[name.casefold()] for name in self.without}
        if self.void != 'class' and classes.void is not None:
            left_out.add(classes.void)
        kept = np.array([number for number in range(len(classes)) if number not in left_out], int)
        if not len(kept):
            raise ConfigError('No class remains to be scored.', 'Give the class table of the labels.')
        return kept

    def counted(self, matrix: Int[np.ndarray, 'label predicted'], classes: ClassTable
                ) -> Int[np.ndarray, 'label predicted']:
        """The confusion matrix without the pixels that are not counted."""
        kept = self.evaluated(classes)
        counted = np.zeros_like(matrix)
        rows = kept if self.void in ('unlabelled', 'gone') else slice(None)
        counted[rows] = matrix[rows]
        if self.void == 'gone':
            counted[:, np.setdiff1d(np.arange(len(classes)), kept)] = 0
        return counted

    def mean(self, values: Float[np.ndarray, ' evaluated']) -> float:
        """The mean over classes; NaN stands for a class that is absent."""
        if self.absent == 'zero':
            values = np.nan_to_num(values)
        elif self.absent == 'skip':
            values = values[~np.isnan(values)]
        return float(values.mean()) if len(values) else float('nan')


#: Definitions of mIoU by name; the empty name is the default.
MEAN_IOUS: Mapping[str, MeanIoU] = {
    '': MeanIoU('the mean over classes that occur, without void; a class that is predicted where the label is void is '
                'wrong', 'MRFS, HaoZhang1018/MRFS, utils/metric.py, mean_IoU_no_back', 'unnamed'),
    'rtfnet': MeanIoU('the mean over all classes with void; NaN if a class does not occur',
                      'RTFNet, yuxiangsun/RTFNet, util/util.py, np.mean(x); also SegMiF', 'class', 'nan'),
    'mrfs': MeanIoU('the mean over classes that occur, with void',
                    'MRFS, HaoZhang1018/MRFS, utils/metric.py, mean_IoU', 'class'),
    'bubbliiiing': MeanIoU('the mean over all classes with void; a class that does not occur counts as 0',
                           'bubbliiiing, utils/utils_metrics.py; also AdaSFFuse and IVIF_ZOO, and np.nan_to_num(x) of '
                           'RTFNet', 'class', 'zero'),
    'sea': MeanIoU('the mean over classes that occur, without void; a pixel whose label or prediction is void is not '
                   'counted', 'SEA, Yixuan-2002/SEA, inference/*_MVSeg.py, confusion_matrix(labels=...)', 'gone'),
    'sea13': MeanIoU('as sea, on FMB also without Bicycle', 'SEA, Yixuan-2002/SEA, inference/*_FMB.py', 'gone',
                     without=('Bicycle',)),
    'ignore': MeanIoU('the mean over classes that occur; pixels whose label is void are not counted',
                      'mmsegmentation, IoUMetric with ignore_index; the rule of Cityscapes', 'unlabelled'),
}
#: Thresholds of IoU: a detection is right if it overlaps a label by at least as much.
THRESHOLDS = np.linspace(0.5, 0.95, 10)
#: Points of recall at which COCO and PASCAL VOC 2007 read the precision.
POINTS: Mapping[str, np.ndarray] = {'': np.linspace(0, 1, 101), 'voc07': np.linspace(0, 1, 11)}
#: Names of average precision, with their points of recall. The empty name is the default.
AVERAGE_PRECISIONS: Mapping[str, str] = {
    '': 'the mean precision at 101 points of recall, as COCO has it',
    'voc07': 'the mean precision at 11 points of recall, as PASCAL VOC had it until 2009',
    'voc10': 'the area under the curve of precision, as PASCAL VOC has it since 2010',
}


def mean_iou_of(variant: str) -> MeanIoU:
    """The definition of mIoU with a name.

    Raises:
        UnknownNameError: there is none.

    >>> mean_iou_of('mrfs').note
    'the mean over classes that occur, with void'
    """
    if variant not in MEAN_IOUS:
        raise UnknownNameError(f'There is no mIoU {variant!r}.', did_you_mean(variant, filter(None, MEAN_IOUS)))
    return MEAN_IOUS[variant]


def check_average_precision(variant: str) -> None:
    """Raise an UnknownNameError if no average precision has the name."""
    if variant not in AVERAGE_PRECISIONS:
        raise UnknownNameError(f'There is no average precision {variant!r}.',
                               did_you_mean(variant, filter(None, AVERAGE_PRECISIONS)))
