"""The structural term of AUIF-Net (Zhao et al., IEEE TCSVT 2021), as its released training script computes it."""

from jaxtyping import Float
from torch import Tensor

from vlfusion.losses import ssim_map

Image = Float[Tensor, 'batch 1 h w']


def dissimilarity(x: Image, y: Image, window: int = 3, sigma: float = 1.5) -> Float[Tensor, '']:
    """Compute the mean of `(1 - SSIM) / 2`, with negative SSIM counted as 0, for images in [0, 1].

    SSIM is that of Wang et al. (IEEE TIP 2004). The factor 1/2, the clamp and the reflected border follow kornia 0.4.

    >>> import torch
    >>> image = torch.rand(1, 1, 8, 8)
    >>> dissimilarity(image, image).item() < 1e-5
    True

    Raises:
        DataError: an image is too small to be reflected under half a window.
    """
    return (1 - ssim_map(x, y, window, sigma, border='reflect')).clamp(0, 1).mean() / 2
