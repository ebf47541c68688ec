"""Feature maps computed in strips of rows, so that what lies between two maps stays in the processor's cache.

A wide intermediate result (a feed-forward network's is eight times its input) is never whole in memory: not in
inference, and not in training, where the backward pass computes it once more, strip by strip. What a strip needs of its
neighbours is its halo: a 3x3 convolution reads one row beyond its result on either side, two of them in a row read two.
So the result is that of the whole map; only sums over all pixels are added up in another order.

    def blur(x, strip):
        return conv_rows(x, conv.weight, strip)

    by_strips(blur, x, halo=1, learned=conv.parameters())
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import pairwise
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

#: How many pixels a strip has: on a CPU what stays in its cache, of one image or of several small ones; on a GPU what
#: keeps it busy, of all images of a batch. A strip has a row at least.
PIXELS = {'cpu': 6_144}
PIXELS_ELSEWHERE = 1_048_576

_whole: ContextVar[bool] = ContextVar('whole', default=False)
_watcher: ContextVar[Callable[[float], None] | None] = ContextVar('watcher', default=None)


class Strip(NamedTuple):
    """Rows `top` to `bottom` of a map of `height` rows, of some images of a batch; the input that comes with it has
    `above` and `below` more."""

    top: int
    bottom: int
    height: int
    halo: int = 0
    images: slice = slice(None)

    @property
    def above(self) -> int:
        return self.halo if self.top else 0

    @property
    def below(self) -> int:
        return self.halo if self.bottom < self.height else 0


def by_strips(function: Callable[..., Tensor], x: Float[Tensor, 'batch dim h w'], *given: Tensor, halo: int = 0,
              learned: Iterable[Tensor] = (), out: Float[Tensor, 'batch out h w'] | None = None
              ) -> Float[Tensor, 'batch out h w']:
    """A map of the same height and width as `x`. Gradients of gradients are not supported.

    Args:
        function: makes the rows of a strip: `function(x, strip, *given)`, where that `x` is those rows and their halo.
        x: the input.
        given: what else was computed of each image of the batch.
        halo: how many rows `function` reads beyond its result; where the map ends there are none.
        learned: the parameters that `function` may use.
        out: where to write, which may be `x` itself; only where no gradients are recorded.
    """
    return _run(_joined, function, x, given, halo, learned, out)


def sum_by_strips(function: Callable[..., Tensor], x: Float[Tensor, 'batch dim h w'], halo: int = 0,
                  learned: Iterable[Tensor] = ()) -> Tensor:
    """The sum for each image, `(batch, ...)`, of what `function` gives for its strips; arguments as for `by_strips`."""
    return _run(_summed, function, x, (), halo, learned)


def conv_rows(x: Float[Tensor, 'batch dim rows w'], weight: Float[Tensor, 'out group 3 3'], strip: Strip,
              groups: int = 1) -> Float[Tensor, 'batch out fewer w']:
    """A 3x3 convolution without bias, which pads where the map ends and takes a row of the halo where it goes on.

    Args:
        x: rows of the map, with one more on each side where there is one.
        weight: of the convolution.
        strip: tells on which sides the map goes on.
        groups: as for `F.conv2d`.
    """
    above, below = int(not strip.above), int(not strip.below)  # rows of zeros where the map ends
    if above != below:
        x = F.pad(x, (0, 0, above, below))
    return F.conv2d(x, weight, padding=(above and below, 1), groups=groups)


def without_halo(x: Float[Tensor, 'batch dim rows w'], strip: Strip, rows: int = 1) -> Tensor:
    """A strip without the outermost `rows` of its halo."""
    return x[:, :, rows * bool(strip.above):x.shape[2] - rows * bool(strip.below)]


def nearest(x: Float[Tensor, 'batch dim h w'], size: Sequence[int]) -> Float[Tensor, 'batch dim height width']:
    """Resized by the nearest pixel, as `F.interpolate` chooses it."""
    if tuple(x.shape[2:]) == tuple(size) and not is_traced():  # a graph would then be of this size only
        return x
    pixels = x.permute(0, 2, 3, 1)  # whose channels, in channels_last memory, are copied as one
    for axis, length in zip((1, 2), size, strict=True):
        pixels = pixels.index_select(axis, nearest_places(pixels.shape[axis], length, x.device))
    return pixels.permute(0, 3, 1, 2)


def nearest_rows(x: Float[Tensor, 'batch dim h w'], like: Float[Tensor, 'batch _ rows width'],
                 strip: Strip) -> Float[Tensor, 'batch dim rows width']:
    """The rows of a strip of `nearest(x, (strip.height, width))`."""
    if tuple(x.shape[2:]) == (strip.height, like.shape[3]) and not is_traced():
        return x[:, :, strip.top:strip.bottom]
    rows = nearest_places(x.shape[2], strip.height, x.device)[strip.top:strip.bottom]
    columns = nearest_places(x.shape[3], like.shape[3], x.device)
    return x.permute(0, 2, 3, 1).index_select(1, rows).index_select(2, columns).permute(0, 3, 1, 2)


def nearest_places(length: Any, wanted: Any, device: torch.device) -> Int[Tensor, ' wanted']:
    """Which of `length` pixels each of the `wanted` ones is, by the arithmetic of `F.interpolate`; lengths may be
    traced."""
    return (torch.arange(wanted, dtype=torch.float32, device=device) * (length / wanted)).long()


@contextmanager
def at_once() -> Iterator[None]:
    """In here no map is cut, so that operations are counted which the size of strips has no part in."""
    token = _whole.set(True)
    try:
        yield
    finally:
        _whole.reset(token)


@contextmanager
def watched(watcher: Callable[[float], None]) -> Iterator[None]:
    """In here `watcher` is told of each strip what part of its map it is, for instance to show progress: whatever the
    size of the images, a network computes the same number of maps."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


def count_maps(network: nn.Module) -> int:
    """Maps that a network computes in strips in one pass: the sum of the attributes `strip_maps` of its modules.

    A module declares those that its own `forward` computes by `by_strips` or `sum_by_strips`.

    >>> from vlfusion.models.layers.restormer import RestormerBlock
    >>> count_maps(nn.Sequential(RestormerBlock(8), nn.Conv2d(8, 8, 1), RestormerBlock(8)))
    4
    """
    return sum(getattr(module, 'strip_maps', 0) for module in network.modules())


def cut(x: Float[Tensor, 'batch dim h w'], halo: int = 0) -> list[Strip]:
    """The strips of a map from top to bottom, of nearly equal height, each no lower than its neighbours' halo."""
    batch, _, height, width = x.shape
    if is_traced() or _whole.get():
        return [Strip(0, height, height, halo)]
    pixels = PIXELS.get(x.device.type, PIXELS_ELSEWHERE)
    # Strips of many images at once would have few rows, and most of what is computed would be halo.
    together = min(batch, max(1, pixels // (height * width))) if x.device.type == 'cpu' else batch
    count = max(1, min(-(-height * width * together // pixels), height // max(halo, 1)))
    edges = [index * height // count for index in range(count + 1)]
    return [Strip(top, bottom, height, halo, slice(first, min(first + together, batch)))
            for first in range(0, batch, together) for top, bottom in pairwise(edges)]


def is_traced() -> bool:
    """Tell whether a graph is made of what runs: it would hold the number of strips, so there is but one."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def _run(join: Callable, function: Callable, x: Tensor, given: Sequence[Tensor], halo: int, learned: Iterable[Tensor],
         out: Tensor | None = None) -> Tensor:
    strips = cut(x, halo)
    if out is None and len(strips) == 1:
        result = function(x, strips[0], *given)
        _tell(strips[0], x)
        return result
    if torch.is_grad_enabled():
        learned = [tensor for tensor in learned if tensor.requires_grad]
        return _Recomputed.apply(join, function, strips, len(given), x, *given, *learned)
    return join(function, strips, x, given) if out is None else _joined(function, strips, x, given, out)


def _rows(x: Tensor, strip: Strip) -> Tensor:
    return x[strip.images, :, strip.top - strip.above:strip.bottom + strip.below]


def _compute(function: Callable, strip: Strip, x: Tensor, given: Sequence[Tensor]) -> Tensor:
    return function(_rows(x, strip), strip, *(tensor[strip.images] for tensor in given))


def _joined(function: Callable, strips: Sequence[Strip], x: Tensor, given: Sequence[Tensor],
            out: Tensor | None = None) -> Tensor:
    waiting = None  # written one strip late: where `out` is `x`, the next strip still needs the rows of its halo
    for strip in (*strips, None):
        rows = None if strip is None else _compute(function, strip, x, given)
        if out is None:
            out = torch.empty(len(x), rows.shape[1], *x.shape[2:], dtype=rows.dtype, device=rows.device,
                              memory_format=torch.channels_last)
        if waiting:
            done, of_done = waiting
            out[done.images, :, done.top:done.bottom] = of_done
            _tell(done, x)
        waiting = strip, rows
    return out


def _summed(function: Callable, strips: Sequence[Strip], x: Tensor, given: Sequence[Tensor]) -> Tensor:
    totals = []
    for strip in strips:
        part = _compute(function, strip, x, given)
        if strip.top:
            totals[-1] = totals[-1] + part
        else:
            totals.append(part)
        _tell(strip, x)
    return torch.cat(totals)


def _tell(strip: Strip, x: Tensor) -> None:
    if watcher := _watcher.get():
        watcher(len(x[strip.images]) / len(x) * (strip.bottom - strip.top) / strip.height)


class _Recomputed(torch.autograd.Function):
    """Strips of which only the input is kept; the backward pass computes each again and adds up its gradients."""

    @staticmethod
    def forward(ctx, join: Callable, function: Callable, strips: Sequence[Strip], count: int, x: Tensor,
                *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(x, *tensors)
        ctx.function, ctx.strips, ctx.summed, ctx.count = function, strips, join is _summed, count
        ctx.autocast = dict(device_type=x.device.type, enabled=torch.is_autocast_enabled(x.device.type),
                            dtype=torch.get_autocast_dtype(x.device.type))
        return join(function, strips, x, tensors[:count])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, *tensors = ctx.saved_tensors
        given, learned = tensors[:ctx.count], tensors[ctx.count:]
        gradients = [torch.zeros_like(tensor) if tensor.requires_grad else None for tensor in (x, *given, *learned)]
        for strip in ctx.strips:
            # What was given has a history of its own, into which this pass does not go.
            parts = [part.detach().requires_grad_(tensor.requires_grad) for part, tensor in zip(
                (_rows(x, strip), *(tensor[strip.images] for tensor in given)), (x, *given), strict=True)]
            with torch.enable_grad(), torch.autocast(**ctx.autocast):
                result = ctx.function(parts[0], strip, *parts[1:])
            of_result = gradient[strip.images] if ctx.summed else gradient[strip.images, :, strip.top:strip.bottom]
            places = [_rows(gradients[0], strip) if x.requires_grad else None,
                      *(place if place is None else place[strip.images] for place in gradients[1:1 + ctx.count]),
                      *gradients[1 + ctx.count:]]
            wanted = [(tensor, place) for tensor, place in zip((*parts, *learned), places, strict=True)
                      if place is not None]
            found = torch.autograd.grad(result, [tensor for tensor, _ in wanted], of_result, allow_unused=True)
            for (_, place), part in zip(wanted, found, strict=True):
                if part is not None:
                    place.add_(part)
        return None, None, None, None, *gradients
