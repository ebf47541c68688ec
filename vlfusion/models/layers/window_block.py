"""The transformer block of GIFNet and TextFusion: attention in windows beside a depthwise convolution.

It comes from Song et al., *Vision transformers for single image dehazing* (IEEE TIP 2023). Only the attention is
normalised, by one mean and one deviation of the whole image.
"""

import math
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention


class Lent(NamedTuple):
    """Loan of a stream to another, `(batch, dim, h, w)` each: queries, values, and the result of its attention.

    A block that took the attention of another stream has no queries of its own.
    """

    query: Tensor | None
    value: Tensor
    attended: Tensor


class WindowBlock(nn.Module):
    """A block of one stream: attention in windows plus a depthwise convolution, then a feed-forward network.

    Memory and time grow with the number of pixels.

    Args:
        dim: channels.
        gain: factor of the deviation of first weights, `(8 * depth) ** -0.25` for a network of `depth` blocks.
        shift: number of pixels by which the windows are moved up and left.
        heads: heads of the attention.
        window: height and width of a window.
        expansion: hidden channels of the feed-forward network, as a multiple of `dim`.
        attends: False for a block that always takes the attention of another stream; it has no queries and keys.

    >>> x, bias = torch.rand(2, 4, 12, 20), PositionBias()()
    >>> WindowBlock(4, gain=0.5)(x, bias)[0].shape
    torch.Size([2, 4, 12, 20])
    """

    def __init__(self, dim: int, gain: float, shift: int = 0, *, heads: int = 2, window: int = 8, expansion: int = 2,
                 attends: bool = True):
        super().__init__()
        self.shift, self.heads, self.window = shift, heads, window
        self.norm = RescaledNorm(dim)
        self.query_key = nn.Conv2d(dim, 2 * dim, 1) if attends else None
        self.value = nn.Conv2d(dim, dim, 1)
        self.local = nn.Conv2d(dim, dim, 5, padding=2, groups=dim, padding_mode='reflect')
        self.project = nn.Conv2d(dim, dim, 1)
        self.feed_forward = nn.Sequential(nn.Conv2d(dim, expansion * dim, 1), nn.ReLU(),
                                          nn.Conv2d(expansion * dim, dim, 1))
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.in_channels > 1:
                fan = (module.weight.shape[0] + module.weight.shape[1]) * module.weight[0, 0].numel()
                scale = 1 if module is self.query_key else gain
                nn.init.trunc_normal_(module.weight, std=scale * math.sqrt(2 / fan))
                nn.init.zeros_(module.bias)

    def forward(self, x: Float[Tensor, 'batch dim h w'], bias: Float[Tensor, 'heads token token'] | None = None, *,
                query: Tensor | None = None, attended: Tensor | None = None, local_value: Tensor | None = None,
                frozen: bool = False) -> tuple[Float[Tensor, 'batch dim h w'], Lent]:
        """Return the features after this block, and what it lends.

        Args:
            x: features; height and width are multiples of 4 and at least 8.
            bias: bias of the attention, by relative position; not needed with `attended`.
            query: queries of another stream, instead of the block's own.
            attended: result of another stream's attention, instead of the block's own attention.
            local_value: values of another stream for the depthwise convolution, instead of the block's own.
            frozen: whether the attention gets no gradient. Normalisation and feed-forward network still do.
        """
        normal, scale, offset = self.norm(x)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            value, own = self.value(normal), None
            if attended is None:
                own, key = self.query_key(normal).chunk(2, 1)
                q, k, v = (self._windows(part) for part in (own if query is None else query, key, value))
                attended = self._image(scaled_dot_product_attention(q, k, v, bias.to(q)), x.shape)
            change = self.project(attended + self.local(value if local_value is None else local_value))
        x = x + change * scale + offset
        return x + self.feed_forward(x), Lent(own, value, attended)

    def _windows(self, x: Float[Tensor, 'batch dim h w']) -> Float[Tensor, 'windows heads token c']:
        """Turn the pixels of each window into tokens; the border is reflected to whole windows."""
        x = to_multiples(pad(x, (self.shift, 0, self.shift, 0), mode='reflect') if self.shift else x, self.window)
        return rearrange(x, 'b (heads c) (y p) (x q) -> (b y x) heads (p q) c', heads=self.heads, p=self.window,
                         q=self.window)

    def _image(self, tokens: Float[Tensor, 'windows heads token c'], shape: torch.Size) -> Tensor:
        """Invert `_windows`: the image without the reflected border."""
        b, _, h, w = shape
        across = math.ceil((w + self.shift) / self.window)
        x = rearrange(tokens, '(b y x) heads (p q) c -> b (heads c) (y p) (x q)', b=b, x=across, p=self.window)
        return x[..., self.shift:self.shift + h, self.shift:self.shift + w]


class RescaledNorm(nn.Module):
    """Normalisation by the mean and deviation of all features of an image, which later rescale the result."""

    def __init__(self, dim: int):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(1, dim, 1, 1)), nn.Parameter(torch.zeros(1, dim, 1, 1))
        self.scale, self.offset = nn.Conv2d(1, dim, 1), nn.Conv2d(1, dim, 1)
        for layer, start in ((self.scale, 1.), (self.offset, 0.)):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.constant_(layer.bias, start)

    def forward(self, x: Float[Tensor, 'batch dim h w']) -> tuple[Float[Tensor, 'batch dim h w'],
                                                                  Float[Tensor, 'batch dim 1 1'],
                                                                  Float[Tensor, 'batch dim 1 1']]:
        """Return the normalised features, and the factor and the offset to apply later."""
        mean = x.mean((1, 2, 3), keepdim=True)
        deviation = ((x - mean).square().mean((1, 2, 3), keepdim=True) + 1e-5).sqrt()
        return (x - mean) / deviation * self.weight + self.bias, self.scale(deviation), self.offset(mean)


class PositionBias(nn.Module):
    """Attention bias for two pixels of a window: a small network applied to the logarithm of their distance."""

    def __init__(self, heads: int = 2, window: int = 8):
        super().__init__()
        self.network = nn.Sequential(nn.Linear(2, 256), nn.ReLU(), nn.Linear(256, heads))
        side = torch.arange(float(window))
        pixels = torch.cartesian_prod(side, side)  # (token, 2)
        distance = pixels[:, None] - pixels
        self.register_buffer('distance', distance.sign() * (1 + distance.abs()).log(), persistent=False)

    def forward(self) -> Float[Tensor, 'heads token token']:
        return self.network(self.distance).permute(2, 0, 1)


def to_multiples(x: Float[Tensor, 'batch dim h w'], multiple: int) -> Float[Tensor, 'batch dim h2 w2']:
    """Reflect the image at its right and lower border until height and width are multiples."""
    h, w = x.shape[-2:]
    return pad(x, (0, -w % multiple, 0, -h % multiple), mode='reflect')
