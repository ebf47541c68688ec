"""IFCNN (Zhang et al., Information Fusion 2020): one network of four convolutions for every fusion task."""

from vlfusion_ifcnn.model import IFCNN

__all__ = ['IFCNN']
