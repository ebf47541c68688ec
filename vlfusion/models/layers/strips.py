"""Feature maps computed in strips of rows, so that intermediate results stay in the processor's cache.

A wide intermediate result, such as that of a feed-forward network, which is eight times its input, is never whole in
memory. In training the backward pass recomputes it strip by strip; on a GPU also that of a single strip. A strip also
reads its halo, some rows of its neighbours: a 3x3 convolution reads one row beyond its result on either side, two in
sequence read two. So the result is that of the whole map; only sums over all pixels are added up in another order.

    def blur(x, strip):
        return conv_rows(x, conv.weight, strip)

    by_strips(blur, x, halo=1, learned=conv.parameters())
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import chain, pairwise
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge

from vlfusion.errors import NetworkError
from vlfusion.models.layers.autocast import autocast_of_now
from vlfusion.system.workers import side_by_side

#: Pixels of a strip, which has at least one row, from one image or several small ones. On a CPU, what fits its cache if
#: the map has 32 channels: more channels have proportionally fewer pixels, and fewer have up to twice as many. On other
#: devices, what keeps them busy.
PIXELS = {'cpu': 6_144}
PIXELS_ELSEWHERE = 1_048_576
#: Devices on which training keeps the intermediate results of a map that is a single strip. They are small on a CPU.
KEPT = {'cpu'}

_whole: ContextVar[bool] = ContextVar('whole', default=False)
_watcher: ContextVar[Callable[[float], None] | None] = ContextVar('watcher', default=None)


class Strip(NamedTuple):
    """Rows `top` to `bottom` of a map of `height` rows, for some images of a batch.

    The input of the strip has `above` more rows at its top and `below` more at its bottom.
    """

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
    """Compute a map of the same height and width as `x`, strip by strip. Second derivatives are not supported.

    Args:
        function: computes the rows of a strip: `function(x, strip, *given)`, where `x` is these rows and their halo.
        x: the input.
        given: further tensors that `function` reads, with one entry for each image of the batch.
        halo: number of rows that `function` reads beyond its result on either side; none at the edge of the map.
        learned: the parameters that `function` uses.
        out: tensor for the result, which may be `x` itself; only when no gradients are recorded.
    """
    return _run(_joined, function, x, given, halo, learned, out)


def sum_by_strips(function: Callable[..., Tensor], x: Float[Tensor, 'batch dim h w'], halo: int = 0,
                  learned: Iterable[Tensor] = ()) -> Tensor:
    """Sum the results of `function` over the strips of each image, `(batch, ...)`. Arguments as for `by_strips`."""
    return _run(_summed, function, x, (), halo, learned)


def conv_rows(x: Float[Tensor, 'batch dim rows w'], weight: Float[Tensor, 'out group side side'], strip: Strip,
              groups: int = 1) -> Float[Tensor, 'batch out fewer w']:
    """Apply a convolution without bias to a strip. It uses rows of the halo, or zeros at the edge of the map.

    Args:
        x: rows of the map, with `side // 2` rows of halo on each side that is not an edge of the map.
        weight: weight of the convolution, of odd side.
        strip: the strip, which tells the edges of the map.
        groups: as for `F.conv2d`.
    """
    reach = weight.shape[-1] // 2
    above, below = reach * (not strip.above), reach * (not strip.below)  # rows of zeros at the edges of the map
    if above != below:
        x = F.pad(x, (0, 0, above, below))
    return F.conv2d(x, weight, padding=(min(above, below), reach), groups=groups)


def without_halo(x: Float[Tensor, 'batch dim rows w'], strip: Strip, rows: int = 1) -> Tensor:
    """Remove the outermost `rows` of the halo from a strip."""
    return x[:, :, rows * bool(strip.above):x.shape[2] - rows * bool(strip.below)]


def nearest(x: Float[Tensor, 'batch dim h w'], size: Sequence[int]) -> Float[Tensor, 'batch dim height width']:
    """Resize by the nearest pixel, as `F.interpolate` does."""
    if tuple(x.shape[2:]) == tuple(size) and not is_traced():  # a traced graph would be fixed to this size
        return x
    pixels = x.permute(0, 2, 3, 1)  # in channels_last memory, all channels of a pixel are copied at once
    for axis, length in zip((1, 2), size, strict=True):
        pixels = pixels.index_select(axis, nearest_places(pixels.shape[axis], length, x.device))
    return pixels.permute(0, 3, 1, 2)


def nearest_rows(x: Float[Tensor, 'batch dim h w'], like: Float[Tensor, 'batch _ rows width'],
                 strip: Strip) -> Float[Tensor, 'batch dim rows width']:
    """Return the strip's rows of `nearest(x, (strip.height, width))`."""
    if tuple(x.shape[2:]) == (strip.height, like.shape[3]) and not is_traced():
        return x[:, :, strip.top:strip.bottom]
    rows = nearest_places(x.shape[2], strip.height, x.device)[strip.top:strip.bottom]
    columns = nearest_places(x.shape[3], like.shape[3], x.device)
    return x.permute(0, 2, 3, 1).index_select(1, rows).index_select(2, columns).permute(0, 3, 1, 2)


def nearest_places(length: Any, wanted: Any, device: torch.device) -> Int[Tensor, ' wanted']:
    """Return, for each of `wanted` pixels, the index of its nearest among `length`, as `F.interpolate` computes it.

    Both lengths may be traced values.
    """
    return (torch.arange(wanted, dtype=torch.float32, device=device) * (length / wanted)).long()


@contextmanager
def at_once() -> Iterator[None]:
    """Compute maps whole inside this block, so that operation counts do not depend on the strip size."""
    token = _whole.set(True)
    try:
        yield
    finally:
        _whole.reset(token)


@contextmanager
def watched(watcher: Callable[[float], None]) -> Iterator[None]:
    """Call `watcher` inside this block after each strip with its share of the map, for example to show progress.

    The shares of a map sum to 1, and a network computes the same number of maps for images of any size.
    """
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


def report(share: float = 1.) -> None:
    """Report a share of a map to the watcher, if there is one.

    A backbone that samples or optimises reports each of its steps as one map, and states their number as its attribute
    `sampling_steps`.
    """
    if watcher := _watcher.get():
        watcher(share)


def count_maps(network: nn.Module) -> int:
    """Count the maps that a network computes in strips in one pass: the sum of `strip_maps` over its modules.

    The attribute `strip_maps` of a module is its number of calls of `by_strips` and `sum_by_strips` in one `forward`.

    >>> from vlfusion.models.layers.restormer import RestormerBlock
    >>> count_maps(nn.Sequential(RestormerBlock(8), nn.Conv2d(8, 8, 1), RestormerBlock(8)))
    4
    """
    return sum(getattr(module, 'strip_maps', 0) for module in network.modules())


def cut(x: Float[Tensor, 'batch dim h w'], halo: int = 0) -> list[Strip]:
    """Cut a map into strips from top to bottom, of nearly equal height, each at least as high as the halo."""
    batch, _, height, width = x.shape
    if is_traced() or _whole.get():
        return [Strip(0, height, height, halo)]
    pixels = PIXELS.get(x.device.type, PIXELS_ELSEWHERE)
    if x.device.type == 'cpu':
        pixels = max(1, pixels * 32 // max(x.shape[1], 16))
    # Strips across many large images would have few rows, and most of the computation would go into the halo.
    groups = -(-batch // max(1, pixels // (height * width)))
    images = -(-batch // groups)
    count = max(1, min(-(-height * width * images // pixels), height // max(halo, 1)))
    edges = [index * height // count for index in range(count + 1)]
    return [Strip(top, bottom, height, halo, slice(first, min(first + images, batch)))
            for first in range(0, batch, images) for top, bottom in pairwise(edges)]


def is_traced() -> bool:
    """Tell whether torch traces or compiles: a graph would fix the number of strips, so maps are computed whole."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def _run(join: Callable, function: Callable, x: Tensor, given: Sequence[Tensor], halo: int, learned: Iterable[Tensor],
         out: Tensor | None = None) -> Tensor:
    strips = cut(x, halo)
    kept = len(strips) == 1 and (x.device.type in KEPT or is_traced())
    if torch.is_grad_enabled() and not kept:
        learned = [tensor for tensor in learned if tensor.requires_grad]
        return _Recomputed.apply(join, function, strips, len(given), x, *given, *learned)
    if out is None and len(strips) == 1:
        return _whole_map(function, strips[0], x, given)
    return join(function, strips, x, given) if out is None else _joined(function, strips, x, given, out)


def _whole_map(function: Callable, strip: Strip, x: Tensor, given: Sequence[Tensor]) -> Tensor:
    result = function(x, strip, *given)
    _report(strip, x)
    return result


def _rows(x: Tensor, strip: Strip) -> Tensor:
    return x[strip.images, :, strip.top - strip.above:strip.bottom + strip.below]


def _computed(function: Callable, strips: Sequence[Strip], x: Tensor, given: Sequence[Tensor]) -> Iterator[Tensor]:
    def compute(strip: Strip) -> Tensor:
        return function(_rows(x, strip), strip, *(tensor[strip.images] for tensor in given))

    return _in_turn(compute, strips, x)


def _in_turn(compute: Callable[[Strip], Any], strips: Sequence[Strip], x: Tensor) -> Iterator:
    """Yield what is computed of each strip, in order."""
    return side_by_side(compute, strips) if x.device.type == 'cpu' else map(compute, strips)


def _joined(function: Callable, strips: Sequence[Strip], x: Tensor, given: Sequence[Tensor],
            out: Tensor | None = None) -> Tensor:
    waiting = None  # results are written one strip late: if `out` is `x`, the next strip still reads its halo there
    for strip, rows in chain(zip(strips, _computed(function, strips, x, given), strict=True), [(None, None)]):
        if out is None:
            out = torch.empty(len(x), rows.shape[1], *x.shape[2:], dtype=rows.dtype, device=rows.device,
                              memory_format=torch.channels_last)
        if waiting:
            done, result = waiting
            out[done.images, :, done.top:done.bottom] = result
            _report(done, x)
        waiting = strip, rows
    return out


def _summed(function: Callable, strips: Sequence[Strip], x: Tensor, given: Sequence[Tensor]) -> Tensor:
    totals = []
    for strip, part in zip(strips, _computed(function, strips, x, given), strict=True):
        if strip.top:
            totals[-1] = totals[-1] + part
        else:
            totals.append(part)
        _report(strip, x)
    return torch.cat(totals)


def _report(strip: Strip, x: Tensor) -> None:
    if _watcher.get():
        report(len(x[strip.images]) / len(x) * (strip.bottom - strip.top) / strip.height)


class _Recomputed(torch.autograd.Function):
    """Strips that keep only their input. The backward pass recomputes each strip and adds up the gradients."""

    @staticmethod
    def forward(ctx, join: Callable, function: Callable, strips: Sequence[Strip], count: int, x: Tensor,
                *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(x, *tensors)
        ctx.function, ctx.strips, ctx.summed, ctx.count = function, strips, join is _summed, count
        ctx.autocast = autocast_of_now(x.device)
        given = tensors[:count]
        return _whole_map(function, strips[0], x, given) if len(strips) == 1 else join(function, strips, x, given)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, *tensors = ctx.saved_tensors
        wanted = [tensor.requires_grad for tensor in (x, *tensors)]
        if len(ctx.strips) == 1:
            return None, None, None, None, *_gradients(ctx, ctx.strips[0], x, tensors, wanted, gradient)
        totals = [torch.zeros_like(tensor) if want else None
                  for tensor, want in zip((x, *tensors), wanted, strict=True)]
        shares = _in_turn(lambda strip: _gradients(ctx, strip, x, tensors, wanted, gradient), ctx.strips, x)
        for strip, parts in zip(ctx.strips, shares, strict=True):
            rows, given, learned = totals[0], totals[1:1 + ctx.count], totals[1 + ctx.count:]
            places = (rows if rows is None else _rows(rows, strip),
                      *(total if total is None else total[strip.images] for total in given), *learned)
            for place, share in zip(places, parts, strict=True):
                if share is not None:
                    place.add_(share)
        return None, None, None, None, *totals


def _gradients(ctx: Any, strip: Strip, x: Tensor, tensors: Sequence[Tensor], wanted: Sequence[bool],
               gradient: Tensor) -> list[Tensor | None]:
    """Compute a strip again, and return the gradients of its rows of `x` and of the other tensors, where wanted."""
    given, learned = tensors[:ctx.count], tensors[ctx.count:]
    # Detach the inputs: this pass must stop at them and not enter the graphs that made them.
    parts = [part.detach().requires_grad_(want) for part, want in zip(
        (_rows(x, strip), *(tensor[strip.images] for tensor in given)), wanted[:1 + ctx.count], strict=True)]
    with torch.enable_grad(), ctx.autocast():
        result = ctx.function(parts[0], strip, *parts[1:])
    upstream = gradient[strip.images] if ctx.summed else gradient[strip.images, :, strip.top:strip.bottom]
    listed = [tensor for tensor, want in zip((*parts, *learned), wanted, strict=True) if want]
    if strip is ctx.strips[0]:
        _check_listed(result, listed)
    shares = iter(torch.autograd.grad(result, listed, upstream, allow_unused=True))
    return [next(shares) if want else None for want in wanted]


def _check_listed(result: Tensor, listed: Sequence[Tensor]) -> None:
    """Refuse a result that depends on a tensor that needs a gradient and is not listed: the gradient would be lost."""
    ends = {get_gradient_edge(tensor).node for tensor in listed}
    nodes, seen = [result.grad_fn], {None, *ends}
    while nodes:
        node = nodes.pop()
        if node in seen:
            continue
        seen.add(node)
        if hasattr(node, 'variable'):
            raise NetworkError(
                f'A strip depends on a tensor of shape {tuple(node.variable.shape)} that needs a gradient, but is '
                'neither in `given` nor in `learned`, so the gradient would be lost.',
                'Pass it to `by_strips`. With FullyShardedDataParallel, which hides the parameters of a network, set '
                'use_orig_params=True, or use fully_shard or DistributedDataParallel.')
        nodes += [following for following, _ in node.next_functions]
