"""Text guidance that corrects the fused image, so that words can steer it.

The released FILM gates its features by a pattern that can select neither channels nor regions. These kinds of guidance
stand beside it, at the end of the network. A text is read as numbers and places, and the fused image becomes the
picture that these ask for. Guidance begins at zero: a network starts exactly as it was, and a trained one keeps what it
learned. A text without a real token leaves the image unchanged to the bit.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vlfusion.errors import ConfigError
from vlfusion.imaging.asked import asked_change

#: Numbers that a text is read as: four shares, and four factors. A factor is `exp` of the number times its unit.
SHARES, UNITS = 4, (0.4, 0.5, 0.8, 0.7)
NUMBERS = SHARES + len(UNITS)
#: Answers to whether each number rises, and then whether each factor falls.
DIRECTIONS = NUMBERS + len(UNITS)
#: Place of the factor of the saturation, which concerns the picture's colour and not the fused luminance.
COLOUR = NUMBERS - 1
Image = Float[Tensor, 'batch 1 h w']
Text = Float[Tensor, 'batch token dim']
Mask = Bool[Tensor, 'batch token']


class SpatialGuidance(nn.Module):
    """Correct each position of the fused image as a text says.

    The tokens of the text first see each other, so that "less blurry" differs from "more blurry". Then the text is read
    twice by cross-attention: as numbers that say what is asked (`read`), and by the cells of a grid over the image, by
    their place and content, as a weight that says where. The image moves towards the picture that the numbers
    ask for, `vlfusion.imaging.asked_picture`, by the weight of each place.

    A number is read as its amount, and as the answers to whether it rises and whether it falls; if neither, it is
    exactly 0. Without these answers, a hundredth of a PET that nobody asked for would outweigh "show the MRI", which is
    much more like the fused image, and a sentence that may mean "sharper" or "softer" would be read as neither.

    Args:
        text_dim: width of the text features.
        grid: rows and columns of cells for images of any size; in training never more than the image has.
        width: width of the attention of cells; that of the text is twice as wide.
        layers: number of layers in which the tokens see each other.
        heads: number of attention heads; it divides `width`.

    Raises:
        ConfigError: `heads` does not divide `width`.
    """

    def __init__(self, text_dim: int, grid: Sequence[int] = (64, 64), width: int = 64, layers: int = 2,
                 heads: int = 4):
        super().__init__()
        self.grid = tuple(grid)
        self.embed = nn.Linear(text_dim, 2 * width)
        self.readers = nn.ModuleList(TextReader(2 * width, heads) for _ in range(layers))
        self.questions = nn.Parameter(torch.randn(4, 2 * width))
        self.what = TextAttention(2 * width, 2 * width, heads)
        self.numbers = nn.Sequential(nn.LayerNorm(8 * width), nn.Linear(8 * width, 4 * width), nn.GELU(),
                                     nn.Linear(4 * width, NUMBERS + DIRECTIONS))
        self.place = nn.Sequential(nn.Linear(12, width), nn.GELU(), nn.Linear(width, width))
        self.scene = nn.Linear(4, width)
        self.answers = TextAttention(width, 2 * width, heads)
        self.select = nn.Linear(width, 2 * width)
        self.region = nn.Sequential(nn.Linear(5 * width, width), nn.GELU(), nn.Linear(width, 1))
        with torch.no_grad():  # at first nothing is asked for
            self.numbers[-1].weight[NUMBERS:], self.numbers[-1].bias[NUMBERS:] = 0, -1

    def forward(self, source_a: Image, source_b: Image, fused: Image, text: Text, mask: Mask,
                region: Image | None = None) -> Image:
        """Return the fused image as the text asks for it, in [0, 1].

        Args:
            source_a, source_b, fused: luminance in [0, 1].
            text: token features.
            mask: False for padding.
            region: weight of each pixel in [0, 1] that says where, instead of what the text says of it.
        """
        tokens = self._tokens(text, mask)
        if region is None:
            where = self._where(source_a, source_b, tokens, mask).sigmoid().to(fused)
            region = F.interpolate(where, fused.shape[2:], mode='bilinear', align_corners=False)
        change = asked_change(source_a.to(fused), source_b.to(fused), self._ask(tokens, mask).to(fused), fused)
        corrected = fused + region.to(fused) * change * mask.any(1)[:, None, None, None]
        if not torch.is_grad_enabled():
            return corrected.clamp(0, 1)
        return corrected + (corrected.clamp(0, 1) - corrected).detach()  # the gradient sees beyond black and white

    def read(self, text: Text, mask: Mask) -> tuple[Float[Tensor, 'batch 8'], Float[Tensor, 'batch 12']]:
        """Read the numbers of `vlfusion.language.instructions.Ask` in a text.

        Returns:
            The amount of each number, 0 or more: shares as they are, of factors the size of the logarithm over `UNITS`.
            And logits: that each number rises, and that each factor falls. A number without a logit above 0 counts as
            not asked for.
        """
        return self._numbers(self._tokens(text, mask), mask)

    def colour_strength(self, text: Text, mask: Mask) -> Float[Tensor, ' batch']:
        """Read the factor of the saturation. It begins at 1, and stays exactly 1 for a text without a real token."""
        strength = self._ask(self._tokens(text, mask), mask)[:, COLOUR].float()
        return torch.where(mask.any(1), strength, 1)

    def understand(self, source_a: Image, source_b: Image, text: Text, mask: Mask) -> dict[str, Tensor]:
        """Return the `amounts` and the logits `directions`, as `read` does, and `places (batch, 1, rows, columns)`.

        A place is the logit that the text concerns a cell of the grid.
        """
        tokens = self._tokens(text, mask)
        amounts, directions = self._numbers(tokens, mask)
        return dict(amounts=amounts, directions=directions, places=self._where(source_a, source_b, tokens, mask))

    def _tokens(self, text: Tensor, mask: Tensor) -> Tensor:
        tokens = self.embed(text.to(self.embed.weight))
        for reader in self.readers:
            tokens = reader(tokens, mask)
        return tokens

    def _numbers(self, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        questions = self.questions.expand(tokens.shape[0], -1, -1)  # `len` would be a constant in a traced graph
        amounts, directions = self.numbers(self.what(questions, tokens, mask).flatten(1)).split(
            (NUMBERS, DIRECTIONS), 1)
        return F.softplus(amounts), directions

    def _ask(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return the numbers in the order and the units of `Ask`."""
        amounts, directions = self._numbers(tokens, mask)
        rises, falls = directions.split((NUMBERS, len(UNITS)), 1)
        falls = F.pad(falls, (SHARES, 0), value=-math.inf)  # a share cannot fall
        step = ((rises > 0) & (rises >= falls)).to(amounts) - ((falls > 0) & (falls > rises)).to(amounts)
        slope = rises.sigmoid() - falls.sigmoid()
        numbers = amounts * (step + slope - slope.detach())  # a step with the slope of the chances
        factors = (numbers[:, SHARES:] * numbers.new_tensor(UNITS)).clamp(-4, 4).exp()  # a wild one stays finite
        return torch.cat((numbers[:, :SHARES], factors), 1)

    def _where(self, source_a: Tensor, source_b: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        source_a, source_b = source_a.to(tokens), source_b.to(tokens)
        brighter = torch.maximum(source_a, source_b)
        grid = self.grid
        if self.training:  # more cells than pixels would cost more and teach nothing
            grid = tuple(map(min, grid, source_a.shape[2:]))
        levels = 4 * torch.cat((source_a, source_b, brighter, brighter.square()), 1) - 2
        scene = self.scene(F.adaptive_avg_pool2d(levels, grid).flatten(2).mT)
        place = self.place(_places(grid, scene)).expand(tokens.shape[0], -1, -1)
        answer = self.answers(place + scene, tokens, mask)
        cell = torch.cat((place, scene), -1)
        return self.region(torch.cat((cell, answer, cell * self.select(answer)), -1)).mT.unflatten(2, grid)


class ChannelGuidance(SpatialGuidance):
    """Correct the whole fused image as a text says.

    It can follow "brighter", but not "brighter on the left". Arguments as for `SpatialGuidance`, without the grid.
    """

    def __init__(self, text_dim: int, width: int = 64, layers: int = 2, heads: int = 4):
        super().__init__(text_dim, (1, 1), width, layers, heads)


class TextReader(nn.Module):
    """Let the tokens of a text see each other: one layer of a transformer with normalisation first.

    Args:
        width: width of the tokens.
        heads: number of attention heads; it divides `width`.
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(width), TextAttention(width, width, heads)
        self.feed_forward = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(),
                                          nn.Linear(2 * width, width))

    def forward(self, tokens: Float[Tensor, 'batch token width'], mask: Mask) -> Float[Tensor, 'batch token width']:
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
                mask: Mask) -> Float[Tensor, 'batch query width']:
        query, key, value = (rearrange(tokens, 'b n (head dim) -> b head n dim', head=self.heads)
                             for tokens in (self.query(queries), self.key(text), self.value(text)))
        scores = query @ key.mT / math.sqrt(query.shape[-1])
        # Not minus infinity: the softmax of a text without a real token would be NaN.
        scores = scores.masked_fill(~mask[:, None, None], torch.finfo(scores.dtype).min)
        return rearrange(scores.softmax(-1) @ value, 'b head n dim -> b n (head dim)')


def _places(grid: Sequence[int], like: Tensor) -> Float[Tensor, 'cell 12']:
    """Describe the place of each cell by sines and cosines of its row and column, which lie in [-1, 1]."""
    row, column = ((2 * torch.arange(cells, device=like.device) + 1) / cells - 1 for cells in grid)
    axes = torch.stack(torch.meshgrid(row, column, indexing='ij')).flatten(1)  # (2, cell)
    angles = torch.cat([axes * frequency * math.pi / 2 for frequency in (1, 2, 4)]).T
    return torch.cat((angles.sin(), angles.cos()), 1).to(like)
