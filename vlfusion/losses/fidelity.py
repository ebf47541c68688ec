"""Terms that compare the fused image with each source: structural similarity and the Lp distance."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d

from vlfusion.errors import DataError
from vlfusion.registry import LOSSES


@LOSSES.register_module()
class SSIMLoss(nn.Module):
    """`(1 - SSIM(F, A)) + (1 - SSIM(F, B))`, SSIM after Wang et al. (IEEE TIP 2004) on images in [0, 1].

    Args:
        weight: factor in the total.
        window: side of the Gaussian window in pixels; the released FILM uses 5.
        sigma: its standard deviation in pixels.

    Raises:
        DataError: an image is smaller than the window.
    """

    def __init__(self, weight: float = 1.0, window: int = 5, sigma: float = 1.5):
        super().__init__()
        self.weight = weight
        offsets = torch.arange(window) - (window - 1) / 2
        gauss = torch.exp(-offsets**2 / (2 * sigma**2))
        gauss = gauss / gauss.sum()
        self.register_buffer('window', torch.outer(gauss, gauss)[None, None], persistent=False)  # (1, 1, k, k)

    def forward(self, fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
                source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, '']:
        side = self.window.shape[-1]
        if min(fused.shape[-2:]) < side:
            raise DataError(f'SSIM needs images of at least {side}x{side}, but got {tuple(fused.shape[-2:])}.',
                            'Use larger crops or a smaller window.')
        return 2 - self._ssim(fused, source_a) - self._ssim(fused, source_b)

    def _ssim(self, x: Tensor, y: Tensor) -> Tensor:
        c1, c2 = 0.01**2, 0.03**2
        moments = torch.cat([x, y, x * x, y * y, x * y])
        mean_x, mean_y, xx, yy, xy = conv2d(moments, self.window.to(x)).chunk(5)
        var_x, var_y, cov = xx - mean_x**2, yy - mean_y**2, xy - mean_x * mean_y
        ssim = (2 * mean_x * mean_y + c1) * (2 * cov + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
        return ssim.mean()


@LOSSES.register_module()
class LpLoss(nn.Module):
    """`||F - A||_p + ||F - B||_p`, the norm taken over all pixels of the batch as the released FILM does (p = 2).

    Args:
        weight: factor in the total.
        p: order of the norm.
    """

    def __init__(self, weight: float = 1.0, p: float = 2.0):
        super().__init__()
        self.weight = weight
        self.p = p

    def forward(self, fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
                source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, '']:
        return sum(torch.linalg.vector_norm(fused - source, self.p) for source in (source_a, source_b))
