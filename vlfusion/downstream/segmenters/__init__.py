"""Segmenters: networks that name the class of each pixel, registered in `SEGMENTERS`."""

from vlfusion.downstream.segmenters.torchvision_segmenter import TorchvisionSegmenter
from vlfusion.downstream.segmenters.transformers_segmenter import TransformersSegmenter

__all__ = ['TorchvisionSegmenter', 'TransformersSegmenter']
