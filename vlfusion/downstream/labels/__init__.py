"""Formats of labels. Registered in `LABELS`."""

from vlfusion.downstream.labels.coco import COCOLabels
from vlfusion.downstream.labels.masks import IndexMasks
from vlfusion.downstream.labels.voc import VOCLabels
from vlfusion.downstream.labels.yolo import YOLOLabels

__all__ = ['COCOLabels', 'IndexMasks', 'VOCLabels', 'YOLOLabels']
