"""Move an image onto the pixels of another one."""

import cv2
import numpy as np
from jaxtyping import Bool, Float, Shaped

Size = tuple[int, int]


def warp(image: Shaped[np.ndarray, 'h w *bgr'], matrix: Float[np.ndarray, '3 3'], size: Size,
         interpolation: int = cv2.INTER_CUBIC, border: int = cv2.BORDER_CONSTANT) -> Shaped[np.ndarray, '_ _ *bgr']:
    """Draw source B on the pixels of source A.

    Args:
        image: source B; 8 or 16 bits, or float32. The type stays.
        matrix: movement of pixels, from source A to source B.
        size: height and width of source A.
        interpolation: OpenCV's name of the interpolation.
        border: OpenCV's rule for pixels that the image does not show; by default they are 0.
    """
    return cv2.warpPerspective(image, matrix, size[::-1], flags=interpolation | cv2.WARP_INVERSE_MAP, borderMode=border)


def covered(source: Size, matrix: Float[np.ndarray, '3 3'], size: Size) -> Bool[np.ndarray, 'h w']:
    """The pixels of an image of `size` that a moved image of height and width `source` shows."""
    return warp(np.ones(source, np.uint8), matrix, size, cv2.INTER_NEAREST) > 0


def shrink(image: Float[np.ndarray, 'h w'], longest: int) -> Float[np.ndarray, '_ _']:
    """Shrink an image until its longer side has `longest` pixels; smaller images are returned as they are."""
    factor = longest / max(image.shape)
    if factor >= 1:
        return image
    height, width = (max(1, round(length * factor)) for length in image.shape)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
