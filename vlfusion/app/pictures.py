"""Pictures for the page: copies that a browser shows, maps of differences, and pictures that zoom together."""

import base64
import html
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Shaped, UInt8

from vlfusion.imaging.images import to_8bit, write_image

#: Longer side of the copies that the page shows, in pixels. Downloads have the full size.
LONGEST = 1600
#: Blue-green-red where the first picture is brighter, and where it is darker.
_BRIGHTER, _DARKER = np.array((60, 150, 255), np.float32), np.array((255, 140, 60), np.float32)


def shrunk(image: Shaped[np.ndarray, 'h w *bgr'], longest: int = LONGEST) -> UInt8[np.ndarray, '_ _ *bgr']:
    """Return an 8-bit copy whose longer side has at most `longest` pixels."""
    image, scale = to_8bit(image), longest / max(image.shape[:2])
    if scale >= 1:
        return image
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def write_shown(path: Path, image: Shaped[np.ndarray, 'h w *bgr']) -> Path:
    """Write the copy that the page shows as a PNG file, and return its path."""
    write_image(path, shrunk(image))
    return path


@dataclass(frozen=True)
class Changes:
    """Difference of two grey pictures in grey levels of 255.

    Attributes:
        mean: mean absolute difference.
        largest: largest absolute difference.
        pixels: share of pixels that differ, 0 to 1.
    """

    mean: float
    largest: float
    pixels: float

    def __str__(self) -> str:
        """The difference in words.

        >>> print(Changes(0.0, 0.0, 0.0), Changes(1.5, 12.0, 0.25), sep='; ')
        not one pixel differs; 25.0 % of the pixels differ, by 1.50 grey levels on average over all and 12 at most
        """
        if not self.pixels:
            return 'not one pixel differs'
        return (f'{self.pixels:.1%} of the pixels differ, by {self.mean:.2f} grey levels on average over all and '
                f'{self.largest:.0f} at most').replace('%', ' %')


def compare(one: Shaped[np.ndarray, 'h w'], other: Shaped[np.ndarray, 'h w'], gain: float = 4.
            ) -> tuple[Changes, UInt8[np.ndarray, 'h w 3']]:
    """Compare two grey pictures; returns the changes and a map, orange where `one` is brighter and blue where darker.

    Args:
        one, other: 8- or 16-bit grey levels.
        gain: factor of the map: at 4, a difference of 64 grey levels has the full colour.
    """
    scale = [np.float32(255 / np.iinfo(picture.dtype).max) for picture in (one, other)]
    difference = one.astype(np.float32) * scale[0] - other.astype(np.float32) * scale[1]
    size = np.abs(difference)
    changes = Changes(float(size.mean()), float(size.max()), float((size > 0).mean()))
    strength = (size * np.float32(gain / 255)).clip(0, 1)[..., None]
    drawn = np.where((difference > 0)[..., None], _BRIGHTER, _DARKER) * strength
    return changes, np.round(drawn).astype(np.uint8)


def zooming(pictures: Mapping[str, Path]) -> str:
    """Return HTML of pictures that `assets/zoom.js` zooms and moves together."""
    figures = ''.join(
        f'<figure><div class="vl-frame"><img alt="{html.escape(title)}" src="{_as_address(path)}" draggable="false">'
        f'</div><figcaption>{html.escape(title)}</figcaption></figure>' for title, path in pictures.items())
    return (f'<div class="vl-zoom" tabindex="0" role="group" aria-label="Pictures that zoom together: drag to move, '
            f'plus and minus to zoom, 0 to reset">{figures}</div>'
            '<p class="vl-hint">Drag to move. Zoom with + and −, a double click, two fingers, or Ctrl and the wheel; '
            '0 resets.</p>')


def _as_address(path: Path) -> str:
    return f'data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}'
