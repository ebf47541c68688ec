"""Registration by the orientation of edges, which modalities share where brightness differs.

An image becomes channels: the strength of its edges in each of eight orientations, with the sign left out and the
contrast divided away (channel features of orientated gradients: Ye et al., IEEE TGRS 57, 2019). All shifts are compared
at once by correlation in the frequency domain, for a table of rotations and scales. Gauss-Newton steps on the channels
(Lucas and Kanade, IJCAI 1981) then find the movement to a fraction of a pixel. Pixels that the two images do not agree
on count less, by the weights of Geman and McClure.
"""

from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int

from vlfusion.imaging.registration.motion import GENERATORS, PARAMETERS, Matrix, distance, in_pixels, movement
from vlfusion.imaging.registration.warp import covered, shrink, warp

Plane = Float[np.ndarray, 'h w']
Channels = Float[np.ndarray, 'channel h w']

_ORIENTATIONS = 8
#: Longer side of the images at which all rotations and scales are tried, in pixels.
COARSE = 128
#: Longer sides of the images at which the movement is refined. Smaller images end the list early.
PYRAMID = (128, 256, 512, 1024)
#: Rotations in degrees and scales that are tried; refining reaches half a step further.
ROTATIONS = tuple(range(-24, 25, 3))
SCALES = tuple(np.exp(0.04 * np.arange(-6, 7)))
_STEPS = 30
#: Local shifts: longer side of the images, side of a window, greatest shift, and least distinctness of its peak.
_LONGEST, _WINDOW, _REACH, _DISTINCT_WINDOW = 512, 64, 8, 1.2


def channels(image: Plane) -> Channels:
    """Strength of the edges in each orientation, smoothed, and divided by the local contrast: about 0 to 1."""
    image = cv2.GaussianBlur(image, (0, 0), 1)
    across, down = cv2.Scharr(image, -1, 1, 0), cv2.Scharr(image, -1, 0, 1)
    angles = (np.arange(_ORIENTATIONS) * np.pi / _ORIENTATIONS).astype(np.float32)
    strengths = np.stack([cv2.GaussianBlur(np.abs(across * np.cos(angle) + down * np.sin(angle)), (0, 0), 1.5)
                          for angle in angles])
    contrast = np.sqrt(np.square(strengths).sum(axis=0))
    return strengths / (contrast + 0.5 * contrast.mean() + np.float32(1e-9))


def correlation(first: Channels, second: Channels) -> Plane:
    """Correlation of two stacks of channels under all cyclic shifts, from -1 to 1; entry `[0, 0]` is no shift.

    The edges of the pictures are faded out. An image without edges, or of one row or column, gives zeros.
    """
    if min(first.shape[1:]) < 2:
        return np.zeros(first.shape[1:], np.float32)
    window = cv2.createHanningWindow(first.shape[:0:-1], cv2.CV_32F)
    first, second = ((stack - stack.mean(axis=(1, 2), keepdims=True)) * window for stack in (first, second))
    product = (np.conj(np.fft.rfft2(first)) * np.fft.rfft2(second)).sum(axis=0)
    energy = np.linalg.norm(first) * np.linalg.norm(second)
    return np.fft.irfft2(product, s=first.shape[1:]) / (energy or 1)


def peak(surface: Plane) -> tuple[float, float, float]:
    """Height of the greatest peak of a `correlation`, and its shift `(x, y)` in pixels."""
    height, width = surface.shape
    row, column = np.unravel_index(surface.argmax(), surface.shape)
    signed = (column - width if column > width / 2 else column), (row - height if row > height / 2 else row)
    return float(surface[row, column]), float(signed[0]), float(signed[1])


def search(image_a: Plane, image_b: Plane, motion: str) -> Matrix:
    """Find the rotation and the scale of a table, and the shift, under which the edges of two images agree best.

    Args:
        image_a: luminance of source A, float32.
        image_b: luminance of source B, of the same size.
        motion: kind of movement; `rigid` tries no scales.

    Returns:
        The movement in normalised coordinates.
    """
    small_a, small_b = shrink(image_a, COARSE), shrink(image_b, COARSE)
    edges_a, half = channels(small_a), max(small_a.shape) / 2
    best, result = 0., np.eye(3)
    for rotation in np.radians(ROTATIONS):
        for scale in (1.,) if motion == 'rigid' else SCALES:
            turn = movement([0, 0, rotation, np.log(scale)])
            turned = warp(small_b, in_pixels(turn, small_a.shape), small_a.shape, cv2.INTER_LINEAR,
                          cv2.BORDER_REPLICATE)
            height, x, y = peak(correlation(edges_a, channels(turned)))
            if height > best:
                best, result = height, turn @ movement([x / half, y / half])
    return result


def refine(image_a: Plane, image_b: Plane, start: Matrix, motion: str, sizes: tuple[int, ...] = PYRAMID,
           half: Literal[0, 1] | None = None) -> Matrix:
    """Refine a movement from coarse to fine, by Gauss-Newton steps on the channels.

    Args:
        image_a: luminance of source A, float32.
        image_b: luminance of source B, of the same size.
        start: movement in normalised coordinates.
        motion: kind of movement, a key of `PARAMETERS`.
        sizes: longer sides of the images, from coarse to fine.
        half: look only at the white (0) or the black (1) squares of a chessboard, eight of them along the longer side.

    Returns:
        The movement in normalised coordinates. It is `start` if the images have no edges in common.
    """
    matrix = start
    for number, longest in enumerate(sizes):
        if number and sizes[number - 1] >= max(image_a.shape):
            break
        small_a, small_b = shrink(image_a, longest), shrink(image_b, longest)
        counted = np.ones(small_a.shape, bool) if half is None else _chessboard(small_a.shape) == half
        matrix = _descend(small_a, small_b, matrix, motion, counted)
    return matrix


def half_difference(image_a: Plane, image_b: Plane, matrix: Matrix, motion: str) -> float:
    """Mean distance in pixels between the movements that two halves of source A find, each refined from `matrix`.

    The halves share no pixels, so their noise is independent. At a true registration the difference is about twice the
    standard error of the movement that the whole image finds. At a false one nothing holds the halves together.

    Args:
        image_a: luminance of source A, float32.
        image_b: luminance of source B, of the same size.
        matrix: movement in normalised coordinates, as `refine` finds it.
        motion: kind of movement, a key of `PARAMETERS`.
    """
    first, second = (in_pixels(refine(image_a, image_b, matrix, motion, PYRAMID[1:], half), image_a.shape)
                     for half in (0, 1))
    return distance(first, second, image_a.shape)


def _chessboard(size: tuple[int, int]) -> Int[np.ndarray, 'h w']:
    rows, columns = np.indices(size) // max(1, max(size) // 8)
    return (rows + columns) % 2


def _descend(image_a: Plane, image_b: Plane, matrix: Matrix, motion: str, counted: Bool[np.ndarray, 'h w']) -> Matrix:
    size, half = image_a.shape, max(image_a.shape) / 2
    edges_a, (along, down) = channels(image_a), _velocities(size, motion)
    for _ in range(_STEPS):
        pixels = in_pixels(matrix, size)
        shown = cv2.erode(covered(image_b.shape, pixels, size).astype(np.uint8), np.ones((7, 7), np.uint8),
                          borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0
        shown &= counted
        if not shown.any():
            return matrix
        edges_b = channels(warp(image_b, pixels, size, cv2.INTER_LINEAR, cv2.BORDER_REPLICATE))
        difference = edges_a - edges_b
        squares = np.square(difference).sum(axis=0)
        weight = shown / np.square(1 + squares / (np.median(squares[shown]) + 1e-6))
        mean = (edges_a + edges_b) / 2
        x = half * np.stack([cv2.Sobel(plane, -1, 1, 0, scale=1 / 8) for plane in mean])
        y = half * np.stack([cv2.Sobel(plane, -1, 0, 1, scale=1 / 8) for plane in mean])
        xx, xy, yy, right, left = ((weight * (one * other).sum(axis=0)).ravel() for one, other in (
            (x, x), (x, y), (y, y), (x, difference), (y, difference)))
        mixed = (along * xy) @ down.T
        hessian = (along * xx) @ along.T + (down * yy) @ down.T + mixed + mixed.T
        if not np.trace(hessian) > 0:
            return matrix
        hessian += 1e-9 * np.trace(hessian) * np.eye(len(hessian))
        step = np.linalg.solve(hessian, along @ right + down @ left)
        matrix = matrix @ movement(step)
        matrix = matrix / matrix[2, 2]
        if half * np.abs(step).max() < 0.01:
            break
    return matrix


def _velocities(size: tuple[int, int], motion: str) -> tuple[Float[np.ndarray, 'p n'], Float[np.ndarray, 'p n']]:
    """Velocity of each pixel along x and y under each parameter of the movement, in normalised coordinates."""
    height, width = size
    half = max(size) / 2
    x, y = np.meshgrid((np.arange(width) - (width - 1) / 2) / half, (np.arange(height) - (height - 1) / 2) / half)
    points = np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    moved = GENERATORS[:PARAMETERS[motion]] @ points
    return moved[:, 0] - moved[:, 2] * points[0], moved[:, 1] - moved[:, 2] * points[1]


def distinctness(image_a: Plane, image_b: Plane, matrix: Matrix) -> float:
    """Correlation of the edges under a movement, divided by the greatest one under any other shift.

    A true registration stands out: well above 1. At a false one, other shifts agree as well. It is 0 for images of few
    pixels, which have no other shifts.

    Args:
        image_a: luminance of source A, float32.
        image_b: luminance of source B, of the same size.
        matrix: movement in normalised coordinates.
    """
    small_a, small_b = shrink(image_a, COARSE), shrink(image_b, COARSE)
    moved = warp(small_b, in_pixels(matrix, small_a.shape), small_a.shape, cv2.INTER_LINEAR, cv2.BORDER_REPLICATE)
    surface = np.fft.fftshift(correlation(channels(small_a), channels(moved)))
    height, width = surface.shape
    rows, columns = np.ogrid[:height, :width]
    radius = np.hypot(rows - height // 2, columns - width // 2)
    rival = surface[radius > COARSE / 12].max(initial=0)
    return float(surface[radius <= 2].max() / rival) if rival > 0 else 0.


def residual(image_a: Plane, image_b: Plane, matrix: Matrix) -> float:
    """Median length of the local shifts that remain after a movement, in pixels of source A.

    The images are shrunk to 512 pixels if they are larger, and compared in overlapping windows of 64 pixels. Only
    windows with a distinct peak within 8 pixels count.

    Args:
        image_a: luminance of source A, float32.
        image_b: luminance of source B, of the same size.
        matrix: movement in normalised coordinates.

    Returns:
        NaN if fewer than four windows count.
    """
    small_a, small_b = shrink(image_a, _LONGEST), shrink(image_b, _LONGEST)
    size, lengths = small_a.shape, []
    pixels = in_pixels(matrix, size)
    seen = covered(size, pixels, size)
    edges_a = channels(small_a)
    edges_b = channels(warp(small_b, pixels, size, cv2.INTER_LINEAR, cv2.BORDER_REPLICATE))
    for top in range(0, size[0] - _WINDOW + 1, _WINDOW // 2):
        for left in range(0, size[1] - _WINDOW + 1, _WINDOW // 2):
            window = slice(top, top + _WINDOW), slice(left, left + _WINDOW)
            if seen[window].all():
                length = _local_shift(np.fft.fftshift(correlation(edges_a[:, *window], edges_b[:, *window])))
                lengths += [] if length is None else [length]
    return float(np.median(lengths)) * max(image_a.shape) / max(size) if len(lengths) >= 4 else np.nan


def _local_shift(surface: Plane) -> float | None:
    """Length of the shift at the peak of a centred correlation; None if the peak is far away or not distinct."""
    middle = _WINDOW // 2
    row, column = np.unravel_index(surface.argmax(), surface.shape)
    if max(abs(row - middle), abs(column - middle)) > _REACH:
        return None
    rows, columns = np.ogrid[:_WINDOW, :_WINDOW]
    if surface[row, column] < _DISTINCT_WINDOW * surface[np.hypot(rows - row, columns - column) > _REACH].max():
        return None
    around = surface[row - 1:row + 2, column - 1:column + 2]
    return float(np.hypot(row - middle + _vertex(around[:, 1]), column - middle + _vertex(around[1])))


def _vertex(values: Float[np.ndarray, '3']) -> float:
    """Place of the vertex of a parabola through three neighbours of a peak, relative to the middle one."""
    before, top, after = values
    bend = before - 2 * top + after
    return 0. if bend >= 0 else float((before - after) / (2 * bend))
