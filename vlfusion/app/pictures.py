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
    """Difference of two pictures in levels of 255.

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
        not one pixel differs; 25.0 % of the pixels differ, by 1.50 levels on average over all and 12 at most
        """
        if not self.pixels:
            return 'not one pixel differs'
        return (f'{self.pixels:.1%} of the pixels differ, by {self.mean:.2f} levels on average over all and '
                f'{self.largest:.0f} at most').replace('%', ' %')


def compare(image: Shaped[np.ndarray, 'h w'], reference: Shaped[np.ndarray, 'h w'], gain: float = 4.
            ) -> tuple[Changes, UInt8[np.ndarray, 'h w 3']]:
    """Compare two grey pictures; returns the changes and a map, orange where `image` is brighter and blue where darker.

    Args:
        image, reference: 8- or 16-bit grey levels.
        gain: factor of the map: at 4, a difference of 64 grey levels has the full colour.
    """
    difference = _levels(image) - _levels(reference)
    size = np.abs(difference)
    strength = (size * np.float32(gain / 255)).clip(0, 1)[..., None]
    drawn = np.where((difference > 0)[..., None], _BRIGHTER, _DARKER) * strength
    return _changes(size), np.round(drawn).astype(np.uint8)


def compare_colours(image: Shaped[np.ndarray, 'h w ...'], reference: Shaped[np.ndarray, 'h w ...'], gain: float = 4.
                    ) -> tuple[Changes, UInt8[np.ndarray, 'h w 3']]:
    """Compare the chroma of two pictures; a grey one has none.

    Args:
        image, reference: 8- or 16-bit levels, blue-green-red or grey.
        gain: factor of the map.

    Returns:
        The changes, at each pixel those of Cb or Cr, whichever is larger; and a map in grey.
    """
    size = np.abs(_chroma(image) - _chroma(reference)).max(axis=2)
    drawn = np.round((size * np.float32(gain)).clip(0, 255)).astype(np.uint8)
    return _changes(size), np.dstack([drawn] * 3)


def _chroma(image: Shaped[np.ndarray, 'h w ...']) -> Shaped[np.ndarray, 'h w 2']:
    levels = _levels(image)
    if levels.ndim == 2:
        return np.zeros((*levels.shape, 2), np.float32)
    # 8-bit levels, so that the rounding of grey levels that change is not taken for a change of colour.
    return np.round(cv2.cvtColor(levels / 255, cv2.COLOR_BGR2YCrCb)[..., 1:] * 255)


def _levels(image: Shaped[np.ndarray, 'h w ...']) -> Shaped[np.ndarray, 'h w ...']:
    return image.astype(np.float32) * np.float32(255 / np.iinfo(image.dtype).max)


def _changes(size: Shaped[np.ndarray, 'h w']) -> Changes:
    return Changes(float(size.mean()), float(size.max()), float((size > 0).mean()))


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
