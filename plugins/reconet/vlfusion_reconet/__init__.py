"""ReCoNet (Huang et al., ECCV 2022): a recurrent network for infrared-visible fusion, without registration."""

from vlfusion_reconet.losses import PixelLoss, StructureLoss
from vlfusion_reconet.model import ReCoNet

__all__ = ['PixelLoss', 'ReCoNet', 'StructureLoss']
