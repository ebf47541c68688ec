"""Fusing an image in tiles if it is too large for the free memory.

`exact`: a local backbone (`vlfusion.models.locality`) fuses tiles with a margin that is thrown away. The result is that
of the whole image, up to rounding. `blend`: any other backbone fuses overlapping windows, and neighbours fade into each
other. The result is an approximation, because each window is normalised, stretched or attended to separately.
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
from vlfusion.system.memory import out_of_memory

MODES = ('auto', 'whole', 'exact', 'blend')
#: Rows and columns that neighbouring windows share under `blend`.
OVERLAP = 64
#: Windows under `blend` begin at multiples of it, so that operations on a grid, such as wavelets, see the same grid.
ALIGNMENT = 32
#: Smallest number of rows and columns that a tile keeps.
SMALLEST = 32

#: Advice to a user whose image must be fused whole.
_WHOLE = ('Leave --tiles and --tile-size out. If memory is short, allow more with --max-memory, close other programs, '
          'use another --device or --precision bfloat16, or make the images smaller. Or leave the instruction out.')

Fuse = Callable[[Mapping[str, Tensor]], Tensor]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Span:
    """A tile's range along one side of the image: `start` to `stop` is fused, `first` to `last` is kept."""

    start: int
    stop: int
    first: int
    last: int


@dataclass(frozen=True)
class Plan:
    """The tiles of an image.

    Attributes:
        mode: `whole`, `exact` or `blend`.
        tile: largest height and width of a tile, margins included.
        margin: rows and columns at a tile's border that are thrown away; under `blend`, half the overlap of windows.
        multiple: number of pixels; tiles begin at multiples of it.
    """

    mode: str
    tile: tuple[int, int]
    margin: int = 0
    multiple: int = 1

    @property
    def pixels(self) -> int:
        """Largest number of pixels that are fused at once."""
        return math.prod(self.tile)

    def is_whole(self, size: tuple[int, int]) -> bool:
        """Tell whether an image of a size (height, width) is fused at once."""
        return all(len(side) == 1 for side in self.grid(size))

    def grid(self, size: tuple[int, int]) -> tuple[list[Span], list[Span]]:
        """The tiles' ranges of rows and of columns, for an image of a size (height, width)."""
        return tuple(spans(length, tile, self.margin, self.multiple)
                     for length, tile in zip(size, self.tile, strict=True))


def spans(length: int, tile: int, margin: int, multiple: int = 1) -> list[Span]:
    """Cut a side into as few tiles as possible, and these as small as possible. All but the last have one size.

    >>> spans(100, 48, 8)
    [Span(start=0, stop=44, first=0, last=36), Span(start=28, stop=72, first=36, last=64), \
Span(start=56, stop=100, first=64, last=100)]

    Args:
        length: length of the side.
        tile: largest length of a tile.
        margin: margin of a tile at each end that is not the image's; divisible by `multiple`.
        multiple: number of pixels; tiles begin at multiples of it.

    Raises:
        ConfigError: the margins leave nothing of a tile.
    """
    if length <= tile:
        return [Span(0, length, 0, length)]
    most = (tile - 2 * margin) // multiple * multiple
    if most < 1:
        raise ConfigError(f'A tile of {tile} pixels is too small: its margins take {margin} pixels at each end.',
                          f'Give a tile of {2 * margin + max(multiple, SMALLEST)} or more.')
    count = math.ceil((length - 2 * margin) / most)
    step = _up((length - 2 * margin) / count, multiple)
    starts = [min(start, _up(length - step - 2 * margin, multiple))  # gives the last tile the size of the others
              for start in range(0, length - 2 * margin, step)]
    cuts = [0, *(start + margin for start in starts[1:]), length]
    return [Span(start, min(start + step + 2 * margin, length), first, last)
            for start, (first, last) in zip(starts, pairwise(cuts), strict=True)]


def _up(number: float, multiple: int) -> int:
    return math.ceil(number / multiple) * multiple


def plan(size: tuple[int, int], locality: Locality | None = None, mode: str = 'auto', tile: int | None = None,
         pixels: int | None = None, overlap: int = OVERLAP, instructed: bool = False) -> Plan:
    """Choose the tiles of an image. `auto` prefers the whole image, then exact tiles, then blended windows.

    Exact tiles are chosen to compute the fewest pixels. Windows are chosen to have the longest shorter side.

    Args:
        size: height and width of the image.
        locality: the backbone's locality, if it declares one.
        mode: a name in `MODES`.
        tile: largest number of rows and columns fused at once; by default as many as `pixels` allows.
        pixels: largest number of pixels fused at once; None for any number.
        overlap: rows and columns that windows share under `blend`, rounded up to a multiple of twice `ALIGNMENT`.
        instructed: whether an instruction says how to fuse. It may speak of places, such as "on the left", which each
            window would look for within itself. So windows are not blended.

    Raises:
        ConfigError: the mode is unknown, or exact tiles are requested of a backbone that is not local, or windows would
            be blended under an instruction.
        VLFusionError: the smallest tile has more pixels than allowed.
    """
    if mode not in MODES:
        raise ConfigError(f'Unknown way to tile {mode!r}.', did_you_mean(mode, MODES))
    local = locality is not None and locality.holds(*size)
    if mode == 'exact' and not local:
        why = (f'{size[0]}x{size[1]} (height x width) are not multiples of {locality.multiple}'
               if locality else 'it declares no halo, so each pixel may depend on the whole image')
        raise ConfigError(f'The model cannot be exact in tiles: {why}.', 'Use --tiles whole, or blend to approximate.')
    most = min(tile or max(size), max(size))
    pixels = math.prod(size) if pixels is None else pixels
    if mode == 'whole' or (mode == 'auto' and most == max(size) and math.prod(size) <= pixels):
        return Plan('whole', size)
    mode = mode if mode != 'auto' else 'exact' if local else 'blend'
    if mode == 'blend' and instructed:
        raise ConfigError(f'{size[1]}x{size[0]} would be fused in blended windows, which cannot follow an instruction: '
                          '"on the left" would mean the left of each window.',
                          _WHOLE)
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
        raise VLFusionError(f'The smallest tile of this model has {least}x{least} pixels, but the limits are {most} '
                            f'rows and columns and {pixels} pixels.',
                            'Allow more memory or larger tiles, close other programs, or use another --device or '
                            '--precision bfloat16.')
    if mode == 'blend':
        return max(plans, key=lambda plan: min(plan.tile))
    return min(plans, key=lambda plan: math.prod(sum(span.stop - span.start for span in side)
                                                 for side in plan.grid(size)))


def fuse_in_tiles(fuse: Fuse, inputs: Mapping[str, Shaped[Tensor, 'batch ...']], plan: Plan,
                  progress: Progress | None = None) -> Float[Tensor, 'batch 1 h w']:
    """Fuse tile by tile. Memory holds the result and one tile at a time.

    Args:
        fuse: the network, called with the sources and maps of a tile and all texts. It may move them to another device.
            The result of several tiles is on the device of the sources.
        inputs: `source_a`, `source_b` and maps, `(batch, 1, h, w)` each, and texts, which every tile gets whole.
        plan: tiles for images of this size.
        progress: called with the number of tiles done and of all tiles; not called for an image that is fused at once.
    """
    def fuse_window(window: tuple) -> Tensor:
        return fuse({name: value[window] if is_image(value) else value for name, value in inputs.items()})

    source = inputs['source_a']
    if plan.is_whole(source.shape[-2:]):
        return fuse(inputs)
    return fuse_windows(fuse_window, torch.zeros_like(source), plan, progress)


def fuse_windows(fuse_window: Callable[[tuple], Tensor], fused: Float[Tensor, 'batch 1 h w'], plan: Plan,
                 progress: Progress | None = None) -> Float[Tensor, 'batch 1 h w']:
    """Fuse tile by tile with a function that takes a window, the index of a tile in an image.

    Args:
        fuse_window: function that fuses a window of the sources.
        fused: zeros in the size of the image; it is filled and returned.
        plan, progress: as for `fuse_in_tiles`.
    """
    rows, columns = plan.grid(fused.shape[-2:])
    weights = [_ramps(side) for side in (rows, columns)] if plan.mode == 'blend' else None
    total = len(rows) * len(columns)
    for done, (i, row, j, column) in enumerate(_cells(rows, columns), 1):
        window = (..., slice(row.start, row.stop), slice(column.start, column.stop))
        part = fuse_window(window).to(fused)
        if weights:
            fused[window].addcmul_(part, (weights[0][i][:, None] * weights[1][j]).to(fused))
        else:
            kept = (..., slice(row.first - row.start, row.last - row.start),
                    slice(column.first - column.start, column.last - column.start))
            fused[..., row.first:row.last, column.first:column.last] = part[kept]
        if progress:
            progress(done, total)
    return fused


def is_image(value: Shaped[Tensor, '...']) -> bool:
    """Tell an input of the form `(batch, 1, h, w)`, a source or a map, from a text or its mask."""
    return value.ndim == 4


def _cells(rows: list[Span], columns: list[Span]) -> Iterator[tuple[int, Span, int, Span]]:
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            yield i, row, j, column


def _ramps(side: list[Span]) -> list[Float[Tensor, ' length']]:
    """Weights of each window along a side.

    A weight falls linearly towards an end of the window that lies within the image. All weights add up to 1 everywhere.
    """
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


def fuse_any_size(fuse: Fuse, inputs: Mapping[str, Shaped[Tensor, 'batch ...']], locality: Locality | None = None,
                  mode: str = 'auto', tile: int | None = None, pixels: int | None = None,
                  progress: Progress | None = None, note: Callable[[str], None] = print,
                  chosen: Plan | None = None, instructed: bool = False,
                  trying: Callable[[Plan], None] = lambda plan: None) -> Float[Tensor, 'batch 1 h w']:
    """Fuse an image whole or in tiles, as `plan` chooses. If memory runs out, go on with half as many pixels a tile.

    Args:
        fuse, inputs, progress: as for `fuse_in_tiles`.
        locality, mode, tile, pixels, instructed: as for `plan`.
        note: called with a message each time the image is approximated or memory runs out.
        chosen: the result of `plan` for the same arguments; by default it is made here.
        trying: called with each plan before it is tried; the last one made the result.

    Raises:
        ConfigError: as for `plan`.
        VLFusionError: memory runs out for the smallest tile, or for the whole image under the mode `whole`.
    """
    size = tuple(inputs['source_a'].shape[-2:])
    chosen = chosen or plan(size, locality, mode, tile, pixels, instructed=instructed)
    return within_memory(lambda chosen: fuse_in_tiles(fuse, inputs, chosen, progress), size, chosen, locality, mode,
                         tile, note=note, instructed=instructed, trying=trying)


def within_memory(fuse: Callable[[Plan], Tensor], size: tuple[int, int], chosen: Plan,
                  locality: Locality | None = None, mode: str = 'auto', tile: int | None = None, *,
                  note: Callable[[str], None] = print, instructed: bool = False,
                  trying: Callable[[Plan], None] = lambda plan: None) -> Tensor:
    """Call a function with a plan for an image of this size; if memory runs out, with one of half as many pixels.

    Args:
        fuse: function that fuses by a plan.
        size: height and width of the image.
        chosen: the first plan to try.
        locality, mode, tile, instructed: as for `plan`, which gave the first plan.
        note, trying: as for `fuse_any_size`.

    Raises:
        ConfigError, VLFusionError: as for `fuse_any_size`.
    """
    height, width = size
    while True:
        trying(chosen)
        if chosen.mode == 'blend' and mode == 'auto':
            note(f'{width}x{height} is fused in blended windows of {chosen.tile[1]}x{chosen.tile[0]}, which is an '
                 'approximation: the model is not local.')
        try:
            return fuse(chosen)
        except Exception as error:
            if not out_of_memory(error):
                raise
            if mode == 'whole':
                raise VLFusionError(f'There is not enough memory to fuse {width}x{height} at once.',
                                    _WHOLE if instructed else 'Leave out --tiles whole.') from error
        # Outside the handler, where the memory of the failed attempt is free again.
        chosen = plan((height, width), locality, mode, tile, chosen.pixels // 2, instructed=instructed)
        note(f'Memory ran out; going on with tiles of {chosen.tile[1]}x{chosen.tile[0]} pixels.')

