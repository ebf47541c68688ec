"""Regions that an instruction can concern, as weights of pixels."""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float

from vlfusion.errors import DataError

#: Width of the soft edge of a part of the picture, as a share of its side.
EDGE = 0.04
#: Levels in [0, 1] above which a structure is bright, and below which an area is dark, and the width of that edge.
BRIGHT, DARK, STEP = 0.5, 0.25, 0.04


def region_weight(region: str, brightest: Float[np.ndarray, 'h w']) -> Float[np.ndarray, 'h w']:
    """Weigh each pixel by its membership in a region, 0 to 1, with soft edges.

    Args:
        region: one of `vlfusion.language.instructions.REGIONS`: a part of the picture, `bright`, `dark`, or '' for the
            whole picture.
        brightest: level of the brighter source at each pixel, in [0, 1].

    >>> region_weight('upper_left', np.zeros((4, 4))).round(1)[0].tolist()
    [1.0, 1.0, 0.0, 0.0]

    Raises:
        DataError: the region is none of these; a thing with a box needs a box.
    """
    height, width = brightest.shape
    row = ((np.arange(height) + 0.5) / height - 0.5)[:, None]  # -0.5 at the top, 0.5 at the bottom
    column = ((np.arange(width) + 0.5) / width - 0.5)[None]
    sides = {'left': -column, 'right': column, 'top': -row, 'bottom': row, 'upper': -row, 'lower': row}
    parts = region.split('_')
    if not region:
        weight = 1.
    elif region == 'bright':
        weight = _step((brightest - BRIGHT) / STEP)
    elif region == 'dark':
        weight = _step((DARK - brightest) / STEP)
    elif region == 'centre':  # the middle half of both sides
        weight = _step((0.25 - np.maximum(abs(row), abs(column))) / EDGE)
    elif all(part in sides for part in parts):
        weight = np.prod([_step(sides[part] / EDGE) + np.zeros((height, width)) for part in parts], 0)
    else:
        raise DataError(f'There is no region {region!r} without a box.',
                        'Use a region of vlfusion.language.instructions.REGIONS.')
    return np.broadcast_to(weight, (height, width)).astype(np.float32)


def boxes_weight(boxes: Iterable[Sequence[float]], height: int, width: int) -> Float[np.ndarray, 'h w']:
    """Weigh each pixel by its membership in any of some boxes, 0 to 1, with soft edges.

    Args:
        boxes: each `(x0, y0, x1, y1)` as fractions of width and height from the upper left.
        height, width: size of the image.

    >>> boxes_weight([(0, 0, 0.5, 1)], 2, 4).round(1).tolist()
    [[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]]
    """
    row, column = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
    weight = np.zeros((height, width), np.float32)
    for x0, y0, x1, y1 in boxes:
        inside = [_step((half - distance) / min(EDGE, half / 2)) for half, distance in (  # small boxes have sharp edges
            ((y1 - y0) / 2, abs(row - (y0 + y1) / 2)[:, None]), ((x1 - x0) / 2, abs(column - (x0 + x1) / 2)[None]))]
        weight = np.maximum(weight, inside[0] * inside[1])
    return weight.astype(np.float32)


def _step(distance: Float[np.ndarray, '...']) -> Float[np.ndarray, '...']:
    """Rise smoothly from 0 to 1; 0.98 at a distance of 1 from the edge."""
    return 1 / (1 + np.exp(-4 * np.clip(distance, -20, 20)))
