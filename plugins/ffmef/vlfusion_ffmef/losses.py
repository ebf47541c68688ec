"""Gradient-driven image fidelity (GIF), the loss of FFMEF (Zheng et al., CVPR workshops 2023)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.losses import derivative_kernels
from vlfusion.registry import LOSSES
from vlfusion_ffmef.model import limited_range


def scharr_magnitude(image: Float[Tensor, 'batch 1 h w'], border: str) -> Float[Tensor, 'batch 1 h w']:
    """Compute `(min(|S_x * I|, 1) + min(|S_y * I|, 1)) / 2` with Scharr kernels that are not normalised.

    Args:
        image: luminance in [0, 1].
        border: padding mode of `torch.nn.functional.pad`.
    """
    kernels = derivative_kernels(image, corner=3, middle=10)
    return F.conv2d(F.pad(image, (1, 1, 1, 1), border), kernels).abs().clamp(max=1).mean(1, keepdim=True)


@LOSSES.register_module()
class GradientFidelityLoss(nn.Module):
    """`L = 1.25 L_guided + L_smooth + 2 L_gradient`: keeps the sources near their edges, and their mean elsewhere.

    `G` is the Scharr magnitude. The mask `M_S` is 1 within one pixel of places where `G(S) >= threshold`, else 0. The
    parts are means over all pixels:

        guided:    `sum_s M_S |S - F|`
        smooth:    `(1 - max(M_A, M_B)) |(A + B) / 2 - F|`
        gradient:  `|max(G(A), G(B)) - G(F)|`

    As in the released code, luminance has limited range (16..235), and the gradients of the sources are rounded down to
    whole grey levels. The released code also weights the mean in the smooth part by the chroma of the sources, which a
    loss does not get here.

    Args:
        weight: factor in the total.
        guided, gradient: weights of these two parts.
        threshold: smallest gradient of an edge, in [0, 1].
    """

    def __init__(self, weight: float = 1.0, *, guided: float = 1.25, gradient: float = 2.0, threshold: float = 0.5):
        super().__init__()
        self.weight = weight
        self.guided, self.gradient, self.threshold = guided, gradient, threshold

    def forward(self, fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
                source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, '']:
        fused, *sources = (limited_range(image) for image in (fused, source_a, source_b))
        gradients = [(255 * scharr_magnitude(source, 'reflect')).floor() / 255 for source in sources]
        edges = [(F.max_pool2d(gradient, 3, 1, 1) >= self.threshold).to(fused) for gradient in gradients]

        guided = sum(edge * (source - fused).abs() for edge, source in zip(edges, sources, strict=True))
        smooth = (1 - torch.maximum(*edges)) * ((sources[0] + sources[1]) / 2 - fused).abs()
        sharpest = (torch.maximum(*gradients) - scharr_magnitude(fused, 'replicate')).abs()
        return (self.guided * guided + smooth + self.gradient * sharpest).mean()
