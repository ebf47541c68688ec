"""Learned perceptual similarity to the truth."""

from functools import cache
from threading import Lock
from urllib.error import URLError

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.errors import VLFusionError, needs
from vlfusion.metrics.base import truth_metric, variant

_loading = Lock()  # threads that score images must not fetch a network twice


@truth_metric(title='Learned perceptual image patch similarity', direction='lower', range=(0., float('inf')),
              smallest=64, source='Zhang, Isola, Efros, Shechtman and Wang, CVPR 2018',
              variants={net: variant(f'with the features of {title}', net=net)
                        for net, title in (('squeeze', 'SqueezeNet 1.1'), ('vgg', 'VGG-16'))})
def LPIPS(fused: Float[Tensor, 'batch 1 h w'], truth: Float[Tensor, 'batch 1 h w'],
          net: str = 'alex') -> Float[Tensor, ' batch']:
    """`LPIPS = sum_l mean(sum_c w_lc (f_lc(T) - f_lc(F))^2)`, with normalised features `f` of AlexNet's layers `l`.

    torchmetrics computes it in float32.

    It needs `pip install 'vlfusion[perceptual]'`. torchvision fetches the network's weights at the first use.

    Args:
        fused, truth: grey levels in 0..255, at least 64x64; the network gets them as all three colours.
        net: `alex`, `squeeze` or `vgg`.

    Raises:
        VLFusionError: torchmetrics or torchvision is not installed, or the weights cannot be fetched.
    """
    with _loading:
        network = _network(net, fused.device)
    images = ((image.float() / 127.5 - 1).expand(-1, 3, -1, -1) for image in (fused, truth))
    return network(*images).flatten()


@cache
def _network(net: str, device: torch.device) -> nn.Module:
    try:
        with needs('LPIPS', 'torchmetrics with torchvision', 'perceptual'):
            from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity
            # The inner network is used: the metric around it has a state, which threads would mix up, and averages.
            return LearnedPerceptualImagePatchSimilarity(net_type=net).net.to(device)
    except URLError as error:
        raise VLFusionError(
            f'The weights of the network {net!r} for LPIPS could not be fetched: {error.reason}.',
            'Run it once on a machine with a connection, and copy the folder hub/checkpoints in TORCH_HOME '
            '(~/.cache/torch) from there; or leave LPIPS out.') from error
