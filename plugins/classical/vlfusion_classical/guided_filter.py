"""Fusion with guided filtering (Li, Kang and Hu, "Image fusion with guided filtering", IEEE TIP 22(7), 2013)."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.registry import BACKBONES
from vlfusion_classical.filters import box_mean, gaussian, laplacian, replicate, separable

Images = Float[Tensor, 'batch 1 h w']


@BACKBONES.register_module()
class GuidedFilterFusion(nn.Module):
    """Fusion at two scales, each weighted by a map of the more salient source, smoothed with that source as the guide.

        B_n = mean of I_n over 31 x 31, D_n = I_n - B_n                                      (eq. 7, 8)
        S_n = |Laplacian(I_n)| blurred by a Gaussian, P_n = 1 where S_n is the largest       (eq. 9, 10, 11)
        W_n = guided filter of P_n by I_n, once per scale; the W_n sum to 1                  (eq. 12, 13)
        F = sum of W_n^B B_n + sum of W_n^D D_n                                              (eq. 14, 15, 16)

    Args:
        base_radius, base_epsilon: guided filter of the weights of the base (r1 and epsilon1 of the paper).
        detail_radius, detail_epsilon: guided filter of the weights of the detail (r2 and epsilon2).
    """

    def __init__(self, base_radius: int = 45, *, base_epsilon: float = 0.3, detail_radius: int = 7,
                 detail_epsilon: float = 1e-6):
        super().__init__()
        self.base_filter = (base_radius, base_epsilon)
        self.detail_filter = (detail_radius, detail_epsilon)
        # Either the saliency (Laplacian and Gaussian) and two successive means, or the base.
        self.halo = max(1 + 5 + 2 * max(base_radius, detail_radius), 15)

    def forward(self, source_a: Images, source_b: Images, text: Tensor | None = None,
                text_mask: Tensor | None = None) -> Images:
        """Fuse luminance in [0, 1]; text is not read. The result is clamped to [0, 1]."""
        # Local variances are differences of nearly equal numbers. Their float32 rounding errors reach detail_epsilon.
        a, b = source_a.double(), source_b.double()
        base_a, base_b = average(a), average(b)
        a_is_salient = (saliency(a) >= saliency(b)).to(a)
        weight_base = self._weight(a, b, a_is_salient, *self.base_filter)
        weight_detail = self._weight(a, b, a_is_salient, *self.detail_filter)
        fused = (weight_base * base_a + (1 - weight_base) * base_b
                 + weight_detail * (a - base_a) + (1 - weight_detail) * (b - base_b))
        return fused.to(source_a).clamp(0, 1)

    @staticmethod
    def _weight(a: Images, b: Images, a_is_salient: Images, radius: int, epsilon: float) -> Images:
        """Weight of source A; the weights of both sources sum to 1."""
        weight_a = guided_filter(a, a_is_salient, radius, epsilon).clamp(0, 1) + 1e-12
        weight_b = guided_filter(b, 1 - a_is_salient, radius, epsilon).clamp(0, 1) + 1e-12
        return weight_a / (weight_a + weight_b)


def average(x: Images) -> Images:
    """Base of an image: its mean over 31 x 31 pixels (eq. 7)."""
    rows = F.avg_pool2d(replicate(x, 15), (1, 31), stride=1)
    return F.avg_pool2d(rows, (31, 1), stride=1)


def saliency(x: Images) -> Images:
    """Measure the detail around each pixel (eq. 9, 10): radius and sigma of the Gaussian are 5."""
    return separable(replicate(laplacian(replicate(x, 1)).abs(), 5), gaussian(5, 5, x.device))


def guided_filter(guide: Images, x: Images, radius: int, epsilon: float) -> Images:
    """Approximate `x` by a locally linear function of the guide (eq. 1 to 6; He, Sun and Tang, TPAMI 2013)."""
    mean_guide, mean_x = box_mean(guide, radius), box_mean(x, radius)
    variance = box_mean(guide * guide, radius) - mean_guide ** 2
    slope = (box_mean(guide * x, radius) - mean_guide * mean_x) / (variance + epsilon)
    offset = mean_x - slope * mean_guide
    return box_mean(slope, radius) * guide + box_mean(offset, radius)
