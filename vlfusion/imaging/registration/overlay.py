"""Picture of an alignment: both sources on top of each other, before and after the movement."""

import cv2
import numpy as np
from jaxtyping import Float, Shaped, UInt8

from vlfusion.imaging.images import luminance
from vlfusion.imaging.registration.alignment import Alignment
from vlfusion.imaging.registration.warp import shrink, warp

#: Longer side of each of the two panels, in pixels, and the space between them.
_LONGEST, _GAP = 512, 8


def overlay(image_a: Shaped[np.ndarray, 'h w ...'], image_b: Shaped[np.ndarray, 'h w ...'], alignment: Alignment
            ) -> UInt8[np.ndarray, '_ _ 3']:
    """Draw source A in red and source B in cyan; on the left as they are, on the right with B moved onto A.

    Edges that coincide are grey or white. Double edges, one red and one cyan, show a misalignment.

    Args:
        image_a: source A, as `vlfusion.imaging.images.read_image` returns it.
        image_b: source B, of the same height and width.
        alignment: movement between them.
    """
    a, b = (luminance(image, 'bt601') for image in (image_a, image_b))
    moved = warp(b, alignment.matrix, a.shape)
    red, cyan, registered = (_stretched(shrink(plane, _LONGEST)) for plane in (a, b, moved))
    panels = [np.dstack([plane, plane, red]) for plane in (cyan, registered)]
    gap = np.full((len(red), _GAP, 3), 255, np.uint8)
    return np.hstack([panels[0], gap, panels[1]])


def _stretched(plane: Float[np.ndarray, 'h w']) -> UInt8[np.ndarray, 'h w']:
    """Grey levels between the percentiles 1 and 99."""
    low, high = np.percentile(plane, (1, 99))
    return cv2.convertScaleAbs((plane - low).clip(0) * (255 / (high - low) if high > low else 1))
