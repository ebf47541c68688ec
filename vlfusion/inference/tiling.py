"""Fusing an image in tiles where it is too large for the free memory.

`exact`: a local backbone (`vlfusion.models.locality`) fuses tiles with a margin that is thrown away; the image is that
of the whole, to rounding. `blend`: any other backbone fuses overlapping windows, and neighbours fade into each other;
the image is an approximation, for each window is normalised, stretched or attended to by itself.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from vlfusion.errors import ConfigError, VLFusionError, did_you_mean
from vlfusion.models.locality import Locality

MODES = ('auto', 'whole', 'exact', 'blend')
#: Rows and columns that neighbouring windows share under `blend`.
OVERLAP = 64
#: Such windows begin at multiples of it, so that what works on a grid, as wavelets do, finds the same one in each.
ALIGNMENT = 32
#: Rows and columns that a tile keeps of what it computes, at least.
SMALLEST = 32

Fuse = Callable[[Mapping[str, Tensor]], Tensor]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Span:
    """A stretch of a side of the image: `start` to `stop` is fused, of which `first` to `last` is kept."""

    start: int
    stop: int
    first: int
    last: int


@dataclass(frozen=True)
class Plan:
    """Mode in which an image is fused.

    Attributes:
        mode: `whole`, `exact` or `blend`.
        tile: largest height and width of what is fused at once, margins included.
        margin: rows and columns of a tile that only serve the others; half of what windows share under `blend`.
        multiple: tiles begin at multiples of it.
    """

    mode: str
    tile: tuple[int, int]
    margin: int = 0
    multiple: int = 1

    @property
    def pixels(self) -> int:
        """Pixels that are fused at once, at most."""
        return math.prod(self.tile)

    def grid(self, size: tuple[int, int]) -> tuple[list[Span], list[Span]]:
        """The tiles' rows and columns."""
        return tuple(spans(length, tile, self.margin, self.multiple)
                     for length, tile in zip(size, self.tile, strict=True))


def spans(length: int, tile: int, margin: int, multiple: int = 1) -> list[Span]:
    """Cut a side into as few tiles as possible, all but the last of which are of one size, and as small as may be.

    >>> spans(100, 48, 8)
    [Span(start=0, stop=44, first=0, last=36), Span(start=28, stop=72, first=36, last=64), \
Span(start=56, stop=100, first=64, last=100)]

    Args:
        length: of the side.
        tile: most of it that is fused at once.
        margin: of a tile, at an end that is not the image's; a multiple.
        multiple: tiles begin at multiples of it.

    Raises:
        ConfigError: such a tile has nothing but margins.
    """
    if length <= tile:
        return [Span(0, length, 0, length)]
    most = (tile - 2 * margin) // multiple * multiple
    if most < 1:
        raise ConfigError(f'A tile of {tile} pixels is too small: {margin} at each end serve its neighbours only.',
                          f'Give a tile of {2 * margin + max(multiple, SMALLEST)} or more.')
    count = math.ceil((length - 2 * margin) / most)
    step = _up((length - 2 * margin) / count, multiple)
    starts = [min(start, _up(length - step - 2 * margin, multiple))  # the last has the size of the others
              for start in range(0, length - 2 * margin, step)]
    cuts = [0, *(start + margin for start in starts[1:]), length]
    return [Span(start, min(start + step + 2 * margin, length), first, last)
            for start, (first, last) in zip(starts, pairwise(cuts), strict=True)]


def _up(number: float, multiple: int) -> int:
    return math.ceil(number / multiple) * multiple


def plan(size: tuple[int, int], locality: Locality | None = None, mode: str = 'auto', tile: int | None = None,
         pixels: int | None = None, overlap: int = OVERLAP) -> Plan:
    """Choose the mode of an image: whole where that can be, else in exact tiles, else in windows that are blended.

    Of the tiles that fit, those are taken that compute the fewest pixels; of the windows, those whose shorter side is
    the longest.

    Args:
        size: height and width of the image.
        locality: what the backbone declares.
        mode: of `MODES`; with `auto` as above.
        tile: most rows and columns that are fused at once; None for what `pixels` allows.
        pixels: that can be fused at once; None for any number.
        overlap: rows and columns that windows share under `blend`, rounded up to twice `ALIGNMENT`.

    Raises:
        ConfigError: the mode is unknown, or exact tiles are asked of a backbone that is not local.
        VLFusionError: not even the smallest tile has so few pixels.
    """
    if mode not in MODES:
        raise ConfigError(f'Unknown way to tile {mode!r}.', did_you_mean(mode, MODES))
    local = locality is not None and locality.holds(*size)
    if mode == 'exact' and not local:
        why = (f'at {size[0]}x{size[1]} (height x width), for it needs multiples of {locality.multiple}'
               if locality else 'for it declares no halo: what it does at a pixel may depend on the whole image')
        raise ConfigError(f'The model cannot be exact in tiles {why}.', 'Use --tiles whole, or blend to approximate.')
    most = min(tile or max(size), max(size))
    pixels = math.prod(size) if pixels is None else pixels
    if mode == 'whole' or (mode == 'auto' and most == max(size) and math.prod(size) <= pixels):
        return Plan('whole', size)
    mode = mode if mode != 'auto' else 'exact' if local else 'blend'
    margin, multiple = _up(overlap / 2, ALIGNMENT), ALIGNMENT
    if mode == 'exact':
        margin, multiple = locality.margin, locality.multiple
    least = 2 * margin + _up(1 if tile else SMALLEST, multiple)
    plans = []
    for columns in range(1, size[1] + 1):
        across = min(size[1], _up((size[1] - 2 * margin) / columns, multiple) + 2 * margin)
        if columns > 1 and across < least:
            break
        down = min(size[0], most, pixels // across)
        if across <= most and down >= min(least, size[0]):
            plans.append(Plan(mode, (down, across), margin, multiple))
    if not plans:
        raise VLFusionError(f'The smallest tile of this model has {least}x{least} pixels, but no more than {most} rows '
                            f'and columns and {pixels} pixels are allowed.',
                            'Allow more memory or larger tiles, close other programs, or use another --device or '
                            '--precision bfloat16.')
    if mode == 'blend':
        return max(plans, key=lambda plan: min(plan.tile))
    return min(plans, key=lambda plan: math.prod(sum(span.stop - span.start for span in side)
                                                 for side in plan.grid(size)))


def fuse_in_tiles(fuse: Fuse, inputs: Mapping[str, Shaped[Tensor, 'batch ...']], plan: Plan,
                  progress: Progress | None = None) -> Float[Tensor, 'batch 1 h w']:
    """Fuse tile by tile. Besides the result, at most one tile is held.

    Args:
        fuse: the network; it is given the same inputs with smaller sources. It may move them to another device: the
            result stays where the sources are.
        inputs: `source_a` and `source_b`, `(batch, 1, h, w)` each, and whatever else, which each tile gets whole.
        plan: for images of this size.
        progress: called with the number of tiles that are done, and of all; not for an image that is fused at once.
    """
    source = inputs['source_a']
    rows, columns = plan.grid(source.shape[-2:])
    if len(rows) == len(columns) == 1:
        return fuse(inputs)
    fused = torch.zeros_like(source)
    weights = [_ramps(side) for side in (rows, columns)] if plan.mode == 'blend' else None
    total = len(rows) * len(columns)
    for done, (i, row, j, column) in enumerate(_cells(rows, columns), 1):
        window = (..., slice(row.start, row.stop), slice(column.start, column.stop))
        part = fuse({name: value[window] if name in ('source_a', 'source_b') else value
                     for name, value in inputs.items()}).to(fused)
        if weights:
            fused[window].addcmul_(part, (weights[0][i][:, None] * weights[1][j]).to(fused))
        else:
            kept = (..., slice(row.first - row.start, row.last - row.start),
                    slice(column.first - column.start, column.last - column.start))
            fused[..., row.first:row.last, column.first:column.last] = part[kept]
        if progress:
            progress(done, total)
    return fused


def _cells(rows: list[Span], columns: list[Span]) -> Iterator[tuple[int, Span, int, Span]]:
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            yield i, row, j, column


def _ramps(side: list[Span]) -> list[Float[Tensor, ' length']]:
    """The weight of each window along a side: it falls linearly to where the window ends within the image; all windows'
    weights add up to 1 everywhere."""
    length = side[-1].stop
    total, weights = torch.zeros(length, dtype=torch.float64), []
    for index, span in enumerate(side):
        position = torch.arange(span.start, span.stop, dtype=torch.float64)
        weight = torch.ones_like(position)
        if index:
            shared = max(side[index - 1].stop - span.start, 0)
            weight = torch.minimum(weight, (position - span.start + 1) / (shared + 1))
        if index < len(side) - 1:
            shared = max(span.stop - side[index + 1].start, 0)
            weight = torch.minimum(weight, (span.stop - position) / (shared + 1))
        total[span.start:span.stop] += weight
        weights.append(weight)
    return [weight / total[span.start:span.stop] for weight, span in zip(weights, side, strict=True)]


def out_of_memory(error: BaseException) -> bool:
    """Tell whether an exception, or what caused it, says that memory ran out, on whatever device."""
    words = str(error)
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (isinstance(error, RuntimeError) and any(
            hint in words for hint in ('DefaultCPUAllocator', "can't allocate memory", 'bad_alloc'))):
        return True
    return error.__cause__ is not None and out_of_memory(error.__cause__)


def fuse_any_size(fuse: Fuse, inputs: Mapping[str, Shaped[Tensor, 'batch ...']], locality: Locality | None = None,
                  mode: str = 'auto', tile: int | None = None, pixels: int | None = None,
                  progress: Progress | None = None, note: Callable[[str], None] = print,
                  chosen: Plan | None = None) -> Float[Tensor, 'batch 1 h w']:
    """Fuse as `plan` says. Where memory runs out all the same, go on with tiles of half as many pixels.

    Args:
        fuse, inputs, progress: as for `fuse_in_tiles`.
        locality, mode, tile, pixels: as for `plan`.
        note: told, once for each, that the image is approximated, and that memory ran out.
        chosen: the plan to begin with, as `plan` gave it for the same arguments; by default it is made here.

    Raises:
        ConfigError: as `plan` does.
        VLFusionError: memory runs out for the smallest tile, or for the whole image under the mode `whole`.
    """
    height, width = inputs['source_a'].shape[-2:]
    chosen = chosen or plan((height, width), locality, mode, tile, pixels)
    while True:
        if chosen.mode == 'blend' and mode == 'auto':
            note(f'{width}x{height} is fused in windows of {chosen.tile[1]}x{chosen.tile[0]} that are blended, which '
                 'approximates: the model is not local.')
        try:
            return fuse_in_tiles(fuse, inputs, chosen, progress)
        except Exception as error:
            if not out_of_memory(error):
                raise
            if mode == 'whole':
                raise VLFusionError(f'There is not enough memory to fuse {width}x{height} at once.',
                                    'Leave --tiles whole out.') from error
        # Out of the handler, so that what the failed attempt held is free.
        chosen = plan((height, width), locality, mode, tile, chosen.pixels // 2)
        note(f'Memory ran out; going on with tiles of {chosen.tile[1]}x{chosen.tile[0]} pixels.')

