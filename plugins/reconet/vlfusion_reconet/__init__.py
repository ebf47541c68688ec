"""ReCoNet (Huang et al., ECCV 2022): its recurrent fusion network, without the registration of the sources."""

from vlfusion_reconet.losses import PixelLoss, StructureLoss
from vlfusion_reconet.model import ReCoNet

__all__ = ['PixelLoss', 'ReCoNet', 'StructureLoss']
