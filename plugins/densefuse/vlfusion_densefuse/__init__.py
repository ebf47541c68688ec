"""DenseFuse (Li and Wu, IEEE TIP 2019): an autoencoder with a dense block, and fusion of its features."""

from vlfusion_densefuse.data import ImageDataset
from vlfusion_densefuse.model import DenseFuse
from vlfusion_densefuse.training import DenseFuseModel

__all__ = ['DenseFuse', 'DenseFuseModel', 'ImageDataset']
