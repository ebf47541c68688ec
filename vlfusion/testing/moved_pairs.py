"""Pairs of images whose misalignment is known: source B of a real or drawn pair, moved."""

import numpy as np
from jaxtyping import Shaped

from vlfusion.imaging.registration.motion import Matrix
from vlfusion.imaging.registration.warp import warp

Image = Shaped[np.ndarray, '_ _ ...']


def moved_pair(image_a: Image, image_b: Image, known: Matrix, margin: float = 0.1) -> tuple[Image, Image, Matrix]:
    """Move source B by a known movement, and cut both images so that no empty pixels show.

    Args:
        image_a: source A, which stays where it is.
        image_b: source B, of the same height and width.
        known: movement of pixels, from source A to source B.
        margin: share of the height and of the width that is cut off on each side. Choose 0 for images with a black
            background.

    Returns:
        Both images, and the movement between them in pixels of the cut images.
    """
    height, width = image_a.shape[:2]
    top, left = round(margin * height), round(margin * width)
    moved = warp(image_b, np.linalg.inv(known), (height, width))
    inner = slice(top, height - top), slice(left, width - left)
    corner = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1.]])
    return (np.ascontiguousarray(image_a[inner]), np.ascontiguousarray(moved[inner]),
            corner @ known @ np.linalg.inv(corner))
