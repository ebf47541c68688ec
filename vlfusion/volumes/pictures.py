"""Pictures of slices: colours for grey levels, and a mosaic of a volume."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, UInt8, UInt16

from vlfusion.errors import ConfigError, did_you_mean, needs
from vlfusion.imaging.images import to_8bit

#: Most slices of a mosaic, and most rows and columns of each.
_SLICES, _LARGEST = 8, 256


def colour_table(name: str) -> UInt8[np.ndarray, '256 bgr']:
    """Return the colours of matplotlib's colour map of that name, from black to white.

    Raises:
        ConfigError: there is no such map, or matplotlib is not installed.
    """
    with needs('A colour map', 'matplotlib', 'medical'):
        from matplotlib import colormaps
    if name not in colormaps:
        raise ConfigError(f'Unknown colour map {name!r}.', did_you_mean(name, colormaps))
    return colormaps[name](np.linspace(0, 1, 256), bytes=True)[:, 2::-1].copy()


def coloured(levels: UInt16[np.ndarray, 'h w'], table: UInt8[np.ndarray, '256 bgr'],
             inside: Bool[np.ndarray, 'h w']) -> UInt8[np.ndarray, 'h w bgr']:
    """Return 16-bit grey levels in the colours of a table; black outside of the volume, where it has no colour."""
    return table[to_8bit(levels)] * inside[..., None]


def draw_mosaic(rows: Sequence[Sequence[np.ndarray]], aspect: float = 1.) -> UInt8[np.ndarray, 'h w bgr']:
    """Draw a picture of a volume: one row for each kind of picture, one column for each of some slices.

    No word is drawn, so a mosaic holds no name.

    Args:
        rows: sequences of pictures of one size, grey or blue-green-red, 8- or 16-bit, such as source A, source B and
            the fused slices.
        aspect: height over width of a pixel; pictures are stretched to square pixels.
    """
    height, width = rows[0][0].shape[:2]
    scale = min(1., _LARGEST / max(height * aspect, width))
    size = max(1, round(width * scale)), max(1, round(height * aspect * scale))

    def tile(picture: np.ndarray) -> np.ndarray:
        picture = cv2.resize(to_8bit(picture), size, interpolation=cv2.INTER_AREA)
        return cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR) if picture.ndim == 2 else picture

    return np.vstack([np.hstack([tile(picture) for picture in row]) for row in rows])


def slices_to_show(count: int) -> list[int]:
    """Return the slices of a mosaic, evenly spread without the ends of the volume.

    >>> slices_to_show(3), slices_to_show(160)
    ([0, 1, 2], [10, 30, 50, 70, 90, 110, 130, 150])
    """
    shown = min(count, _SLICES)
    return [int((column + 0.5) * count / shown) for column in range(shown)]
