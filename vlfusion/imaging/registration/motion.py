"""Movements of an image: rigid, similarity, affine, homography; as 3x3 matrices in homogeneous coordinates.

In here a movement maps points of source A to the points of source B that show the same thing. Normalised coordinates
have their origin at the image's centre, and 1 is half of the longer side; pixel coordinates begin at the centre of the
upper left pixel.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

Matrix = Float[np.ndarray, '3 3']
Size = tuple[int, int]

#: Number of parameters of each kind of movement. Each kind contains those before it.
PARAMETERS = {'rigid': 3, 'similarity': 4, 'affine': 6, 'homography': 8}

#: Basis of all movements near the identity, in normalised coordinates: two shifts, rotation, scale, two shears, and two
#: perspectives.
GENERATORS = np.zeros((8, 3, 3))
for _number, _entries in enumerate([{(0, 2): 1}, {(1, 2): 1}, {(0, 1): -1, (1, 0): 1}, {(0, 0): 1, (1, 1): 1},
                                    {(0, 0): 1, (1, 1): -1}, {(0, 1): 1, (1, 0): 1}, {(2, 0): 1}, {(2, 1): 1}]):
    for _place, _value in _entries.items():
        GENERATORS[(_number, *_place)] = _value


def movement(parameters: Sequence[float] | Float[np.ndarray, ' n']) -> Matrix:
    """The movement with these coefficients of `GENERATORS`: their matrix exponential, by its series and squaring.

    The exponential stays within the kind: of the first three coefficients it makes exact rotations, for example.
    """
    exponent = np.tensordot(parameters, GENERATORS[:len(parameters)], 1) / 64
    result = power = np.eye(3)
    for order in range(1, 12):
        power = power @ exponent / order
        result = result + power
    return np.linalg.matrix_power(result, 64)


def normalisation(size: Size) -> Matrix:
    """The map from pixels of an image of that height and width to normalised coordinates."""
    height, width = size
    half = max(size) / 2
    return np.array([[1 / half, 0, (1 - width) / 2 / half], [0, 1 / half, (1 - height) / 2 / half], [0, 0, 1]])


def in_pixels(matrix: Matrix, size: Size) -> Matrix:
    """A movement of normalised coordinates, as one of the pixels of images of that height and width."""
    return np.linalg.inv(normalisation(size)) @ matrix @ normalisation(size)


def normalised(matrix: Matrix, size: Size) -> Matrix:
    """A movement of pixels, as one of normalised coordinates."""
    return normalisation(size) @ matrix @ np.linalg.inv(normalisation(size))


def apply(matrix: Matrix, points: Float[np.ndarray, 'n 2']) -> Float[np.ndarray, 'n 2']:
    """Move points `(x, y)`."""
    moved = points @ matrix[:, :2].T + matrix[:, 2]
    return moved[:, :2] / moved[:, 2:]


def distance(first: Matrix, second: Matrix, size: Size) -> float:
    """Mean distance in pixels between the places to which two movements of pixels take an image's points.

    >>> shift = np.array([[1, 0, 3.], [0, 1, 4], [0, 0, 1]])
    >>> distance(shift, np.eye(3), (48, 64))
    5.0
    """
    rows, columns = np.meshgrid(*(np.linspace(0, length - 1, 9) for length in size), indexing='ij')
    points = np.stack([columns.ravel(), rows.ravel()], axis=1)
    return float(np.linalg.norm(apply(first, points) - apply(second, points), axis=1).mean())


def rotation_and_scale(matrix: Matrix) -> tuple[float, float]:
    """Rotation in degrees, counter-clockwise as one looks at the picture, and scale of the similarity in a movement."""
    (a, b), (c, d) = matrix[:2, :2]
    cosine, sine = (a + d) / 2, (b - c) / 2
    return float(np.degrees(np.arctan2(sine, cosine))), float(np.hypot(cosine, sine))
