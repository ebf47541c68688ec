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
#: Numbers that a text is read as: four shares, and four factors. A factor is `exp` of the number times its unit.
SHARES, UNITS = 4, (0.4, 0.5, 0.8, 0.7)
NUMBERS = SHARES + len(UNITS)
#: Rows and columns of cells; in a traced graph they depend on the size of the image.
Grid = tuple[int | torch.SymInt, int | torch.SymInt]
#: Place of the factor of the saturation, which concerns the picture's colour and not the fused luminance.
COLOUR = NUMBERS - 1


class SpatialGuidance(nn.Module):
    """Correct each position of the fused image as a text says.

    The tokens of the text first see each other, so that "less blurry" differs from "more blurry". Then the text is read
    twice by cross-attention: as numbers that say what is asked (`read`), and by the cells of a grid over the image, by
    their place and content, as a weight that says where (`where`). The numbers and the content of a cell give gates,
    which are interpolated between the cells. They weigh `width` linear maps of the features and images around each
    pixel. The sum is added to the fused image, and begins at zero.

    Args:
        dim: channels of the features.
        text_dim: width of the text features.
        pixels: pixels in the channels of one position, see `vlfusion.models.backbones.film.folded`.
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
        self.grid = tuple(grid)
        channels = dim + 3 * pixels
        self.reader = TextReader(text_dim, 2 * width, heads)
        self.questions = nn.Parameter(torch.randn(4, 2 * width))
        self.what = TextAttention(2 * width, 2 * width, heads)
        self.numbers = nn.Sequential(nn.LayerNorm(8 * width), nn.Linear(8 * width, 4 * width), nn.GELU(),
                                     nn.Linear(4 * width, NUMBERS))
        self.place = nn.Sequential(nn.Linear(12, width), nn.GELU(), nn.Linear(width, width))
        self.scene = nn.Linear(4 * pixels, width)
        self.answers = TextAttention(width, 2 * width, heads)
        self.select = nn.Linear(width, 2 * width)
        self.region = nn.Sequential(nn.Linear(5 * width, width), nn.GELU(), nn.Linear(width, 1))
        self.content = nn.Linear(channels, width)
        self.gate = nn.Sequential(nn.Linear(width + NUMBERS, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.embed = PixelConv(channels, width)
        self.around = nn.Conv2d(width, width, WINDOW, groups=width, bias=False)
        self.project = PixelConv(width, pixels, bias=False)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.numbers[-1].weight[COLOUR])
        nn.init.zeros_(self.numbers[-1].bias[COLOUR])

    def forward(self, feature: Float[Tensor, 'batch dim h w'], source_a: Float[Tensor, 'batch pixels h w'],
                source_b: Float[Tensor, 'batch pixels h w'], fused: Float[Tensor, 'batch pixels h w'],
                text: Float[Tensor, 'batch token width'],
                mask: Bool[Tensor, 'batch token']) -> Float[Tensor, 'batch pixels h w']:
        """Return the fused image after the correction, in [0, 1]. `mask` is False for padding."""
        text = text.to(feature)
        images = (2 * image.to(feature) - 1 for image in (source_a, source_b, fused))
        x = torch.cat((feature, *images), 1)
        content = self.content(_cells(x, self.grid))
        tokens = self.reader(text, mask)
        numbers = self._numbers(tokens, mask)[:, None].expand(-1, content.shape[1], -1)
        where = self._where(source_a.to(feature), source_b.to(feature), tokens, mask).sigmoid()
        gates = self.gate(torch.cat((content, numbers), -1)).mT.unflatten(2, where.shape[2:]) * where
        correction = by_strips(self._correction, x, gates, halo=WINDOW // 2, learned=(
            *self.embed.parameters(), *self.around.parameters(), *self.project.parameters()))
        corrected = fused + correction.to(fused) * mask.any(1)[:, None, None, None]
        return corrected + (corrected.clamp(0, 1) - corrected).detach()  # the gradient sees beyond black and white

    def read(self, text: Float[Tensor, 'batch token width'],
             mask: Bool[Tensor, 'batch token']) -> Float[Tensor, 'batch 8']:
        """Read a text as the numbers of `vlfusion.language.instructions.Ask`; factors as logarithms over `UNITS`."""
        return self._numbers(self.reader(text, mask), mask)

    def colour_strength(self, text: Float[Tensor, 'batch token width'],
                        mask: Bool[Tensor, 'batch token']) -> Float[Tensor, ' batch']:
        """Read the factor of the saturation. It begins at 1, and stays exactly 1 for a text without a real token."""
        logarithm = UNITS[-1] * self.read(text, mask)[:, COLOUR].float()
        return (logarithm * mask.any(1)).exp()

    def where(self, source_a: Float[Tensor, 'batch pixels h w'], source_b: Float[Tensor, 'batch pixels h w'],
              text: Float[Tensor, 'batch token width'],
              mask: Bool[Tensor, 'batch token']) -> Float[Tensor, 'batch 1 rows columns']:
        """Return the logit that the text concerns a cell, for each cell of the grid."""
        return self._where(source_a, source_b, self.reader(text, mask), mask)

    def _numbers(self, tokens: Tensor, mask: Tensor) -> Tensor:
        questions = self.questions.expand(tokens.shape[0], -1, -1)  # `len` would be a constant in a traced graph
        return self.numbers(self.what(questions, tokens, mask).flatten(1))

    def _where(self, source_a: Tensor, source_b: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        brighter = torch.maximum(source_a, source_b)
        scene = self.scene(_cells(4 * torch.cat((source_a, source_b, brighter, brighter.square()), 1) - 2, self.grid))
        grid = _fitting(self.grid, source_a)
        place = self.place(_places(grid, scene)).expand(tokens.shape[0], -1, -1)
        answer = self.answers(place + scene, tokens, mask)
        cell = torch.cat((place, scene), -1)
        return self.region(torch.cat((cell, answer, cell * self.select(answer)), -1)).mT.unflatten(2, grid)

    def _correction(self, x: Tensor, strip: Strip, gates: Tensor) -> Tensor:
        maps = self.embed(x)
        maps = without_halo(maps, strip, WINDOW // 2) + conv_rows(maps, self.around.weight, strip, self.around.groups)
        return self.project(maps * _bilinear_rows(gates, maps, strip))


class ChannelGuidance(SpatialGuidance):
    """Correct the whole fused image as a text says: the gates are the same at every position.

    It can follow "brighter", but not "brighter on the left". Arguments as for `SpatialGuidance`, without the grid.
    """

    def __init__(self, dim: int, text_dim: int, pixels: int = 1, width: int = 64, heads: int = 4):
        super().__init__(dim, text_dim, pixels, (1, 1), width, heads)


class TextReader(nn.Module):
    """Let the tokens of a text see each other: one layer of a transformer with normalisation first.

    Args:
        text_dim: width of the text features.
        width: width of the result.
        heads: number of attention heads; it divides `width`.
    """

    def __init__(self, text_dim: int, width: int, heads: int):
        super().__init__()
        self.embed = nn.Linear(text_dim, width)
        self.norm, self.attention = nn.LayerNorm(width), TextAttention(width, width, heads)
        self.feed_forward = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(),
                                          nn.Linear(2 * width, width))

    def forward(self, text: Float[Tensor, 'batch token dim'],
                mask: Bool[Tensor, 'batch token']) -> Float[Tensor, 'batch token width']:
        tokens = self.embed(text)
        normed = self.norm(tokens)
        tokens = tokens + self.attention(normed, normed, mask)
        return tokens + self.feed_forward(tokens)


class TextAttention(nn.Module):
    """Multi-head cross-attention to a text that may have no real token: then the answer is finite and means nothing.

    Args:
        width: width of queries and answers.
        text_dim: width of the text features.
        heads: number of heads; it divides `width`.

    Raises:
        ConfigError: `heads` does not divide `width`.
    """

    def __init__(self, width: int, text_dim: int, heads: int):
        super().__init__()
        if width % heads:
            raise ConfigError(f'An attention of width {width} cannot be divided among {heads} heads.',
                              'Choose a number of heads that divides it.')
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(dim, width) for dim in (width, text_dim, text_dim))

    def forward(self, queries: Float[Tensor, 'batch query width'], text: Float[Tensor, 'batch token dim'],
                mask: Bool[Tensor, 'batch token']) -> Float[Tensor, 'batch query width']:
        query, key, value = (rearrange(tokens, 'b n (head dim) -> b head n dim', head=self.heads)
                             for tokens in (self.query(queries), self.key(text), self.value(text)))
        scores = query @ key.mT / math.sqrt(query.shape[-1])
        # Not minus infinity: the softmax of a text without a real token would be NaN.
        scores = scores.masked_fill(~mask[:, None, None], torch.finfo(scores.dtype).min)
        return rearrange(scores.softmax(-1) @ value, 'b head n dim -> b n (head dim)')


def _fitting(grid: Grid, image: Tensor) -> Grid:
    """Return the grid, with no more rows and columns than the image has."""
    return min(grid[0], image.shape[2]), min(grid[1], image.shape[3])


def _cells(image: Float[Tensor, 'batch dim h w'], grid: Grid) -> Float[Tensor, 'batch cell dim']:
    """Return the mean of the image in each cell of a grid."""
    return F.adaptive_avg_pool2d(image, _fitting(grid, image)).flatten(2).mT


def _places(grid: Grid, like: Tensor) -> Float[Tensor, 'cell 12']:
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
