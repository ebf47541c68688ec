"""The structural term of AUIF-Net (Zhao et al., IEEE TCSVT 2021), as its released training script computes it."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, pad

Image = Float[Tensor, 'batch 1 h w']


def dissimilarity(x: Image, y: Image, window: int = 3, sigma: float = 1.5) -> Float[Tensor, '']:
    """Mean of `(1 - SSIM) / 2`, with negative SSIM counted as 0, for images in [0, 1] larger than half a window.

    SSIM after Wang et al. (IEEE TIP 2004); the halving, the cut and the reflected border are kornia's (0.4).

    >>> image = torch.rand(1, 1, 8, 8)
    >>> dissimilarity(image, image).item() < 1e-5
    True
    """
    offsets = torch.arange(window, dtype=x.dtype, device=x.device) - (window - 1) / 2
    gauss = torch.exp(-offsets**2 / (2 * sigma**2))
    kernel = torch.outer(gauss, gauss)[None, None] / gauss.sum() ** 2
    moments = pad(torch.cat([x, y, x * x, y * y, x * y]), (window // 2,) * 4, mode='reflect')
    mean_x, mean_y, xx, yy, xy = conv2d(moments, kernel).chunk(5)
    var_x, var_y, cov = xx - mean_x**2, yy - mean_y**2, xy - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    ssim = (2 * mean_x * mean_y + c1) * (2 * cov + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return (1 - ssim).clamp(0, 1).mean() / 2
