"""AUIF-Net (Zhao et al., IEEE TCSVT 2021): base and detail of an image by unrolled gradient descent."""

from vlfusion_auif.losses import dissimilarity
from vlfusion_auif.model import AUIF
from vlfusion_auif.training import AUIFModel
from vlfusion_auif.transforms import RandomResizedCrop

__all__ = ['AUIF', 'AUIFModel', 'RandomResizedCrop', 'dissimilarity']
