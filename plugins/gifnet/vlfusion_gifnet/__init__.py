"""GIFNet (Cheng et al., CVPR 2025): one network for every fusion task, trained by two tasks that interact."""

from vlfusion_gifnet.losses import InformationLoss
from vlfusion_gifnet.model import GIFNet
from vlfusion_gifnet.training import GIFNetModel
from vlfusion_gifnet.transforms import BlurFocusPair, LoadFocusPair, PackFocusPair

__all__ = ['BlurFocusPair', 'GIFNet', 'GIFNetModel', 'InformationLoss', 'LoadFocusPair', 'PackFocusPair']
