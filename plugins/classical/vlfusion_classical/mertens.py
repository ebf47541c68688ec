"""Exposure fusion: Mertens, Kautz and Van Reeth, Pacific Graphics 2007."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.models.stacks import Stack
from vlfusion.registry import BACKBONES
from vlfusion_classical.filters import laplacian, reflect
from vlfusion_classical.pyramids import collapse, depth, gaussian_pyramid, laplacian_pyramid

Images = Float[Tensor, 'batch 1 h w']


@BACKBONES.register_module()
class MertensFusion(nn.Module):
    """Exposure fusion: sources blended in a Laplacian pyramid, with weights from contrast and closeness to mid-grey.

        W = C^contrast E^exposure,   C = |Laplacian(I)|,   E = exp(-(I - 0.5)^2 / (2 * 0.2^2))     (section 3.1)
        L_l(F) = sum over the sources of G_l(W / sum of W) L_l(I)                                  (section 3.2)

    The paper's third measure, saturation, does not exist for luminance. The result equals OpenCV's
    `createMergeMertens` on grey images of one channel.

    Args:
        contrast: exponent of the contrast; 0 leaves it out.
        exposure: exponent of the exposedness. The paper multiplies the exposedness of all channels, so a grey image
            stored in three channels corresponds to exposure=3.
    """

    sources = None

    def __init__(self, contrast: float = 1.0, exposure: float = 1.0):
        super().__init__()
        self.contrast, self.exposure = contrast, exposure

    def forward(self, source_a: Images, source_b: Images, text: Tensor | None = None,
                text_mask: Tensor | None = None) -> Images:
        """Fuse luminance in [0, 1]; text is not read. The result is clamped to [0, 1]."""
        return self.fuse_stack((source_a, source_b))

    def fuse_stack(self, sources: Stack) -> Images:
        """Fuse any number of sources, each of which is read twice: for the sum of the weights, then for the blend."""
        total = sum(map(self._quality, sources))
        weighed = blended = None
        for number, source in enumerate(sources, 1):
            levels = depth(source, levels=32)  # down to one pixel
            # At every level the weights add up to 1, so the last source takes what the others leave.
            weights = ([1 - others for others in weighed] if number == len(sources)
                       else gaussian_pyramid(self._quality(source) / total, levels))
            layers = [weight * layer for weight, layer in zip(weights, laplacian_pyramid(source, levels), strict=True)]
            weighed, blended = _added(weighed, weights), _added(blended, layers)
        return collapse(blended).clamp(0, 1)

    def _quality(self, x: Images) -> Images:
        contrast = laplacian(reflect(x, 1)).abs()
        exposedness = torch.exp(-(x - 0.5) ** 2 / (2 * 0.2 ** 2))
        # The small number gives both sources equal weights where both are flat.
        return contrast ** self.contrast * exposedness ** self.exposure + 1e-12


def _added(total: list[Tensor] | None, pyramid: list[Tensor]) -> list[Tensor]:
    """Add a pyramid to the sum of those before it, which is None for the first."""
    return pyramid if total is None else [old + new for old, new in zip(total, pyramid, strict=True)]
