"""Multi-focus fusion that takes each pixel from the source in focus, by the sum-modified-Laplacian.

The measure: Nayar and Nakagawa, "Shape from focus", TPAMI 16(8), 1994. It was the best in the comparison for fusion of
Huang and Jing, "Evaluation of focus measures in multi-focus image fusion", Pattern Recognition Letters 28(4), 2007.
The consistency check by majority: Li, Manjunath and Mitra, "Multisensor image fusion using the wavelet transform",
Graphical Models and Image Processing 57(3), 1995.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.models.stacks import Stack
from vlfusion.registry import BACKBONES
from vlfusion_classical.filters import box_mean, replicate

Images = Float[Tensor, 'batch 1 h w']


@BACKBONES.register_module()
class FocusMeasureFusion(nn.Module):
    """`F = A` where A is sharper in most of the neighbourhood, B where B is, and their mean where neither is.

        ML(x, y) = |2 I(x, y) - I(x-1, y) - I(x+1, y)| + |2 I(x, y) - I(x, y-1) - I(x, y+1)|
        SML = sum of ML over a window;   vote = sign(SML_A - SML_B);   the majority of votes in a second window decides

    Every pixel is a pixel of one source, unless votes are equal. Of more than two sources, the sharpest one has the
    vote of a pixel, equally sharp ones share it, and the source with most votes wins.

    Args:
        radius: radius of the window of the focus measure, in pixels.
        majority_radius: radius of the window of the vote, in pixels; 0 disables the vote.
    """

    sources = None

    def __init__(self, radius: int = 2, majority_radius: int = 5):
        super().__init__()
        self.radius, self.majority_radius = radius, majority_radius
        self.halo = 1 + radius + majority_radius  # second differences, their sum, the vote

    def forward(self, source_a: Images, source_b: Images, text: Tensor | None = None,
                text_mask: Tensor | None = None) -> Images:
        """Fuse luminance in [0, 1]; text is not read."""
        return self.fuse_stack((source_a, source_b))

    def fuse_stack(self, sources: Stack) -> Images:
        """Fuse any number of sources, each of which is read twice: to find the sharpest one, then to count votes."""
        sharpest, sharers = None, None
        for source in sources:
            focus = self._focus(source)
            if sharpest is None:
                sharpest, sharers = focus, torch.zeros_like(focus)
            sharers = torch.where(focus > sharpest, 1, sharers + (focus == sharpest))
            sharpest = torch.maximum(sharpest, focus)
        fused, most, winners = 0, 0, 0
        for source in sources:
            vote = (self._focus(source) == sharpest) / sharers.double()
            lead = box_mean(vote, self.majority_radius) - most
            # A lead is a fraction of one vote at least; anything smaller is rounding.
            ahead, level = lead > 1e-9, lead.abs() <= 1e-9
            winners = torch.where(ahead, 1, winners + level)
            mean = fused + (source - fused) / winners
            most, fused = most + lead.clamp(min=0), torch.where(ahead, source, torch.where(level, mean, fused))
        return fused

    def _focus(self, x: Images) -> Images:
        x = replicate(x, 1)
        middle = 2 * x[..., 1:-1, 1:-1]
        modified = ((middle - x[..., 1:-1, :-2] - x[..., 1:-1, 2:]).abs()
                    + (middle - x[..., :-2, 1:-1] - x[..., 2:, 1:-1]).abs())
        return box_mean(modified, self.radius)  # the sum, up to a factor that both sources share
