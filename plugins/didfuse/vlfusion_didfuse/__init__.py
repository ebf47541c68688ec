"""DIDFuse (Zhao et al., IJCAI 2020): an autoencoder that splits images into background and detail."""

from vlfusion_didfuse.model import DIDFuse
from vlfusion_didfuse.training import DIDFuseModel

__all__ = ['DIDFuse', 'DIDFuseModel']
