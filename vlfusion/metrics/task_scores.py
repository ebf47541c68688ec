"""Scores of what others do with fused images: detections and masks, against labels.

They are no functions of the images, so no registry has them. `vlfusion.downstream.scoring` computes them, and tables
read here which values are better.

    Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014
    Everingham et al., "The PASCAL Visual Object Classes Challenge: A Retrospective", IJCV 111, 2015
"""

from dataclasses import replace

from vlfusion.metrics.base import MetricInfo

_COCO = 'Lin et al., ECCV 2014'
_VOC = 'Everingham et al., IJCV 2015'


def _score(name: str, title: str, source: str) -> MetricInfo:
    return MetricInfo(name, title, 'higher', (0., 1.), source, 'none')


def _count(name: str, title: str) -> MetricInfo:
    return MetricInfo(name, title, 'neither', (0., float('inf')), _COCO, 'none')


#: Facts about each score by its column, without a variant.
TASK_SCORES = {info.name: info for info in (
    _score('AP50', 'Average precision at an IoU of 0.5', _COCO),
    _score('AP75', 'Average precision at an IoU of 0.75', _COCO),
    _score('AP', 'Mean average precision over IoU from 0.5 to 0.95', _COCO),
    _score('AR', 'Mean recall over IoU from 0.5 to 0.95', _COCO),
    _score('mIoU', 'Mean intersection over union of the classes', _VOC),
    _score('mAcc', 'Mean accuracy of the classes', _VOC),
    _score('accuracy', 'Share of labelled pixels with the right class', _VOC),
    _count('labels', 'Number of labels'),
    _count('predictions', 'Number of predictions'),
    _count('found', 'Number of labels that are found at an IoU of 0.5'),
)}


def task_score(column: str) -> MetricInfo | None:
    """Facts about the score of a column, such as `mIoU:mrfs`; None if the column is none of `TASK_SCORES`.

    >>> task_score('AP50:voc07').label, task_score('labels').direction, task_score('EN')
    ('AP50:voc07', 'neither', None)
    """
    name, _, variant = column.partition(':')
    return replace(TASK_SCORES[name], variant=variant) if name in TASK_SCORES else None
