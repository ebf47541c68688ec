"""Detectors: networks that find things in pictures, registered in `DETECTORS`."""

from vlfusion.downstream.detectors.open_vocabulary import OpenVocabularyBoxes
from vlfusion.downstream.detectors.torchvision_detector import TorchvisionDetector
from vlfusion.downstream.detectors.transformers_detector import TransformersDetector

__all__ = ['OpenVocabularyBoxes', 'TorchvisionDetector', 'TransformersDetector']
