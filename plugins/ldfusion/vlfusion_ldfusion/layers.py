"""Layers that LDFusion and AutoFuse share: normalisation whose scale and shift another vector sets."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def adaptive_norm(x: Float[Tensor, 'batch c h w'],
                  parameters: Float[Tensor, 'batch 2*c'] | None) -> Float[Tensor, 'batch c h w']:
    """Normalise each channel of each image, then scale and shift it: AdaIN (Huang and Belongie, ICCV 2017).

    Args:
        x: features of at least two pixels.
        parameters: shift of each channel, then scale of each; None to normalise only.

    >>> features = torch.rand(1, 1, 4, 4)
    >>> adaptive_norm(features, torch.tensor([[5., 2.]])).mean().round(decimals=3)
    tensor(5.)
    """
    normalised = F.instance_norm(x)
    if parameters is None:
        return normalised
    shift, scale = parameters[..., None, None].chunk(2, 1)
    return scale * normalised + shift


def style_mlp(dim: int, parameters: int, hidden: int = 256) -> nn.Sequential:
    """Build the layers that turn a vector into the parameters of all adaptive normalisations."""
    return nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(),
                         nn.Linear(hidden, parameters))


def draw_small_kernels(network: nn.Module) -> None:
    """Draw the kernels of all convolutions from a normal distribution of deviation 0.02, as both methods do."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0, 0.02)


def with_noise(network: nn.Module, image: Float[Tensor, 'batch 1 h w'],
               deviation: float) -> Float[Tensor, 'batch 1 h w']:
    """Add Gaussian noise to an image while its network is in training mode."""
    return image + deviation * torch.randn_like(image) if network.training and deviation else image


def at_least(side: int, *images: Float[Tensor, 'batch 1 h w']) -> list[Float[Tensor, 'batch 1 _ _']]:
    """Repeat the last row and column until height and width reach `side`."""
    return [F.pad(image, (0, max(0, side - image.shape[-1]), 0, max(0, side - image.shape[-2])), mode='replicate')
            for image in images]
