"""SDNet (Zhang and Ma, IJCV 2021): squeezes the sources into one image, from which both must be restored."""

from vlfusion_sdnet.losses import adaptive_gradient_loss, intensity_loss
from vlfusion_sdnet.model import Decomposition, SDNet
from vlfusion_sdnet.training import SDNetModel

__all__ = ['Decomposition', 'SDNet', 'SDNetModel', 'adaptive_gradient_loss', 'intensity_loss']
