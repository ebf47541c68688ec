"""SDNet (Zhang and Ma, IJCV 2021): sources are squeezed into one image, which must tell them apart again."""

from vlfusion_sdnet.losses import adaptive_gradient_loss, intensity_loss
from vlfusion_sdnet.model import Decomposition, SDNet
from vlfusion_sdnet.training import SDNetModel

__all__ = ['Decomposition', 'SDNet', 'SDNetModel', 'adaptive_gradient_loss', 'intensity_loss']
