"""Multi-focus fusion that takes each pixel from the source in focus, by the sum-modified-Laplacian.

The measure: Nayar and Nakagawa, "Shape from focus", TPAMI 16(8), 1994. It was the best in the comparison for fusion of
Huang and Jing, "Evaluation of focus measures in multi-focus image fusion", Pattern Recognition Letters 28(4), 2007.
The consistency check by majority: Li, Manjunath and Mitra, "Multisensor image fusion using the wavelet transform",
Graphical Models and Image Processing 57(3), 1995.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.registry import BACKBONES
from vlfusion_classical.filters import box_mean, replicate

Images = Float[Tensor, 'batch 1 h w']


@BACKBONES.register_module()
class FocusMeasureFusion(nn.Module):
    """`F = A` where A is sharper in most of the neighbourhood, B where B is, and their mean where neither is.

        ML(x, y) = |2 I(x, y) - I(x-1, y) - I(x+1, y)| + |2 I(x, y) - I(x, y-1) - I(x, y+1)|
        SML = sum of ML over a window;   vote = sign(SML_A - SML_B);   the majority of votes in a second window decides

    Every pixel is a pixel of one source, unless votes are equal.

    Args:
        radius: radius of the window of the focus measure, in pixels.
        majority_radius: radius of the window of the vote, in pixels; 0 disables the vote.
    """

    def __init__(self, radius: int = 2, majority_radius: int = 5):
        super().__init__()
        self.radius, self.majority_radius = radius, majority_radius
        self.halo = 1 + radius + majority_radius  # second differences, their sum, the vote

    def forward(self, source_a: Images, source_b: Images, text: Tensor | None = None,
                text_mask: Tensor | None = None) -> Images:
        """Fuse luminance in [0, 1]; text is not read."""
        vote = torch.sign(self._focus(source_a) - self._focus(source_b))
        votes = box_mean(vote.double(), self.majority_radius)
        # Means of whole numbers: a value other than zero is at least one vote.
        weight_a = 0.5 + 0.5 * torch.where(votes.abs() > 1e-9, votes.sign(), 0).to(source_a)
        return torch.lerp(source_b, source_a, weight_a)

    def _focus(self, x: Images) -> Images:
        x = replicate(x, 1)
        middle = 2 * x[..., 1:-1, 1:-1]
        modified = ((middle - x[..., 1:-1, :-2] - x[..., 1:-1, 2:]).abs()
                    + (middle - x[..., :-2, 1:-1] - x[..., 2:, 1:-1]).abs())
        return box_mean(modified, self.radius)  # the sum, up to a factor that both sources share
