"""Fusion with guided filtering (Li, Kang and Hu, "Image fusion with guided filtering", IEEE TIP 22(7), 2013)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.models.stacks import Stack
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

    sources = None

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
        return self.fuse_stack((source_a, source_b))

    def fuse_stack(self, sources: Stack) -> Images:
        """Fuse any number of sources, each of which is read twice: to find the most salient one, then to blend."""
        most, salient = None, None  # the largest saliency, and the number of the first source that has it
        for number, source in enumerate(sources):
            found = saliency(source.double())
            if most is None:
                most, salient = found, torch.zeros_like(found, dtype=torch.int32)
            salient = torch.where(found > most, number, salient)
            most = torch.maximum(most, found)
        fused, weights = [0, 0], [0, 0]  # of the base and of the detail
        for number, source in enumerate(sources):
            # Local variances are differences of nearly equal numbers. Float32 rounding errors reach detail_epsilon.
            x = source.double()
            base, chosen = average(x), (salient == number).to(x)
            for scale, (layer, options) in enumerate(((base, self.base_filter), (x - base, self.detail_filter))):
                weight = guided_filter(x, chosen, *options).clamp(0, 1) + 1e-12
                fused[scale], weights[scale] = fused[scale] + weight * layer, weights[scale] + weight
        return (fused[0] / weights[0] + fused[1] / weights[1]).to(source).clamp(0, 1)


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
