"""Text guidance that corrects the fused image, so that words can steer it.

The released FILM gates its features by a pattern that can select neither channels nor regions. These kinds of guidance
stand beside it, at the end of the network, where they see the features, both sources and the fused image. They begin
at zero: a network starts exactly as it was, and a trained one keeps what it learned. A text without a real token
leaves the image unchanged to the bit.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vlfusion.errors import ConfigError
from vlfusion.models.layers.pixels import PixelConv
from vlfusion.models.layers.strips import Strip, by_strips, conv_rows, without_halo

#: Side of the window from which a pixel is corrected.
WINDOW = 7


class SpatialGuidance(nn.Module):
    """Correct each position of the fused image as a text says.

    A cell of a grid over the image queries the text by its content and its place. The answer gives gates, which are
    interpolated between the cells. They weigh `width` linear maps of the features and images around each pixel. The sum
    is added to the fused image, and begins at zero.

    Args:
        dim: channels of the features.
        text_dim: width of the text features.
        pixels: pixels of an image that lie in the channels of one position, see `vlfusion.models.backbones.film.folded`.
        grid: rows and columns of cells for images of any size; never more than the image has.
        width: number of maps, and width of the attention.
        heads: number of attention heads; it divides `width`.

    Raises:
        ConfigError: `heads` does not divide `width`.
    """

    strip_maps = 1

    def __init__(self, dim: int, text_dim: int, pixels: int = 1, grid: Sequence[int] = (24, 24), width: int = 64,
                 heads: int = 4):
        super().__init__()
        if width % heads:
            raise ConfigError(f'A guidance of width {width} cannot be divided among {heads} heads.',
                              'Choose a number of heads that divides it.')
        self.grid, self.heads = tuple(grid), heads
        channels = dim + 3 * pixels
        self.embed = PixelConv(channels, width)
        self.around = nn.Conv2d(width, width, WINDOW, groups=width, bias=False)
        self.content = nn.Linear(channels, width)
        self.place = nn.Sequential(nn.Linear(12, width), nn.GELU(), nn.Linear(width, width))
        self.query, self.key, self.value = nn.Linear(width, width), nn.Linear(text_dim, width), nn.Linear(text_dim, width)
        self.select = nn.Linear(width, 2 * width)
        self.gate = nn.Sequential(nn.Linear(5 * width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.project = PixelConv(width, pixels, bias=False)
        nn.init.zeros_(self.project.weight)

    def forward(self, feature: Float[Tensor, 'batch dim h w'], source_a: Float[Tensor, 'batch pixels h w'],
                source_b: Float[Tensor, 'batch pixels h w'], fused: Float[Tensor, 'batch pixels h w'],
                text: Float[Tensor, 'batch token width'],
                mask: Bool[Tensor, 'batch token']) -> Float[Tensor, 'batch pixels h w']:
        """Return the fused image after the correction, in [0, 1]. `mask` is False for padding."""
        images = (2 * image.to(feature) - 1 for image in (source_a, source_b, fused))
        x = torch.cat((feature, *images), 1)
        gates = self._gates(x, text.to(feature), mask)
        correction = by_strips(self._correction, x, gates, halo=WINDOW // 2, learned=(
            *self.embed.parameters(), *self.around.parameters(), *self.project.parameters()))
        corrected = fused + correction.to(fused) * mask.any(1)[:, None, None, None]
        return corrected + (corrected.clamp(0, 1) - corrected).detach()  # the gradient sees beyond black and white

    def _gates(self, x: Tensor, text: Tensor, mask: Tensor) -> Float[Tensor, 'batch width rows columns']:
        """Compute the gates of each cell."""
        grid = tuple(min(cells, size) for cells, size in zip(self.grid, x.shape[2:], strict=True))
        content = self.content(F.adaptive_avg_pool2d(x, grid).flatten(2).mT)  # (batch, cell, width)
        place = self.place(_places(grid, x)).expand(len(x), -1, -1)
        query, key, value = (rearrange(tokens, 'b n (head dim) -> b head n dim', head=self.heads)
                             for tokens in (self.query(content + place), self.key(text), self.value(text)))
        scores = query @ key.mT / math.sqrt(query.shape[-1])
        # Not minus infinity: the softmax of a text without a real token would be NaN.
        scores = scores.masked_fill(~mask[:, None, None], torch.finfo(scores.dtype).min)
        answer = rearrange(scores.softmax(-1) @ value, 'b head n dim -> b n (head dim)')
        cell = torch.cat((content, place), -1)
        return self.gate(torch.cat((cell, answer, cell * self.select(answer)), -1)).mT.unflatten(2, grid)

    def _correction(self, x: Tensor, strip: Strip, gates: Tensor) -> Tensor:
        maps = self.embed(x)
        maps = without_halo(maps, strip, WINDOW // 2) + conv_rows(maps, self.around.weight, strip, maps.shape[1])
        return self.project(maps * _bilinear_rows(gates, maps, strip))


class ChannelGuidance(SpatialGuidance):
    """Correct the whole fused image as a text says: the gates are the same at every position.

    It can follow "brighter", but not "brighter on the left". Arguments as for `SpatialGuidance`, without the grid.
    """

    def __init__(self, dim: int, text_dim: int, pixels: int = 1, width: int = 64, heads: int = 4):
        super().__init__(dim, text_dim, pixels, (1, 1), width, heads)


def _places(grid: tuple[int, int], like: Tensor) -> Float[Tensor, 'cell 12']:
    """Describe the place of each cell by sines and cosines of its row and column, which lie in [-1, 1]."""
    row, column = ((2 * torch.arange(cells, device=like.device) + 1) / cells - 1 for cells in grid)
    axes = torch.stack(torch.meshgrid(row, column, indexing='ij')).flatten(1)  # (2, cell)
    angles = torch.cat([axes * frequency * math.pi / 2 for frequency in (1, 2, 4)]).T
    return torch.cat((angles.sin(), angles.cos()), 1).to(like)


def _bilinear_rows(gates: Float[Tensor, 'batch width rows columns'], like: Float[Tensor, 'batch width r w'],
                   strip: Strip) -> Float[Tensor, 'batch width r w']:
    """Return the strip's rows of the gates, as `F.interpolate` gives them in the mode `bilinear`."""
    wide = F.interpolate(gates, (gates.shape[2], like.shape[3]), mode='bilinear', align_corners=False)
    rows = torch.arange(strip.top, strip.bottom, device=gates.device)
    exact = ((rows + 0.5) * (gates.shape[2] / strip.height) - 0.5).clamp(0, gates.shape[2] - 1)
    above = exact.long()
    below = (above + 1).clamp(max=gates.shape[2] - 1)
    return torch.lerp(wide[:, :, above], wide[:, :, below], (exact - above)[:, None].to(gates))
