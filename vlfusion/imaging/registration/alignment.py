"""Alignment of two images of one scene: the movement between them, and how far it can be trusted.

The orientation of edges (`edges`) gives the movement, and two halves of the image say how precisely. The mutual
information of brightness (`mutual`) sees something else, so it checks the edges, and takes their place where they say
nothing.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Shaped

from vlfusion.errors import ConfigError, DataError, did_you_mean
from vlfusion.imaging.images import luminance
from vlfusion.imaging.registration import edges, mutual
from vlfusion.imaging.registration.motion import (
    PARAMETERS,
    Matrix,
    distance,
    in_pixels,
    movement,
    rotation_and_scale,
)
from vlfusion.imaging.registration.warp import warp

Plane = Float[np.ndarray, 'h w']
#: Movements that `--register` takes, and their effect.
MOTIONS = tuple(PARAMETERS)
#: Least distinctness at which edges that are not precise are trusted. Below it, another shift fits nearly as well, as
#: with the blurred edges of PET and SPECT.
_DISTINCT = 1.35
#: Pixels of images of 512 within which estimates agree closely, and roughly. Halves of the edges that agree closely are
#: trusted alone. Those that agree roughly need mutual information that does so too.
_CLOSE, _ROUGH = 1., 3.
#: Further starts of mutual information: shifts and rotation in normalised coordinates.
_STARTS = ((0.12, 0, 0.1), (-0.12, 0, -0.1), (0, 0.12, -0.1), (0, -0.12, 0.1))


@dataclass(frozen=True)
class Alignment:
    """The movement from source A to source B, and its evidence. Lengths are in pixels of source A.

    Attributes:
        matrix: takes a point `(x, y, 1)` of source A to the point of source B that shows the same thing.
        size: height and width of the images.
        motion: kind of movement that was fitted; `similarity` instead of `affine` or `homography` if these were not
            found, or left larger local shifts.
        offset: mean distance between corresponding points of the unmoved images.
        uncertainty: mean distance between the movements that two halves of the image find by their edges; if edges say
            nothing, median distance between those that mutual information finds from several starts. Infinite if it
            finds nothing.
        difference: mean distance between the movements (rigid or similarity) that edges and mutual information find.
            NaN if mutual information decides, infinite if it finds nothing.
        distinctness: correlation of the edges, divided by the greatest one under another shift.
        mutual_information: mutual information before and after the movement, in nats.
        residual: median local shift of windows with clear edges, before and after the movement; NaN without such
            windows. It contains parallax, moving things and noise.
        measure: `edges` or `mutual information`: what the matrix comes from.
    """

    matrix: Matrix
    size: tuple[int, int]
    motion: str
    offset: float
    uncertainty: float
    difference: float
    distinctness: float
    mutual_information: tuple[float, float]
    residual: tuple[float, float]
    measure: Literal['edges', 'mutual information']

    def __str__(self) -> str:
        """The movement in one line.

        >>> matrix = known_movement((96, 128), shift=(3, -4), rotation=2)
        >>> print(Alignment(matrix, (96, 128), 'rigid', 5.4, 0.2, 0.6, 2., (0.5, 0.7), (4., 0.3), 'edges'))
        misaligned by 5.4 pixels (rigid: shift 3.0, -4.0; rotation 2.00 degrees; scale 1.000), high confidence: \
two halves of the edges differ by 0.2 pixels, edges and mutual information by 0.6; median local shift 4.0, registered \
0.3
        """
        x, y = self.shift
        before, after = self.residual
        local = '' if np.isnan(before + after) else f'; median local shift {before:.1f}, registered {after:.1f}'
        return (f'{self.verdict} by {self.offset:.1f} pixels ({self.motion}: shift {x:.1f}, {y:.1f}; rotation '
                f'{self.rotation:.2f} degrees; scale {self.scale:.3f}), {self.confidence} confidence: '
                f'{self.evidence}{local}')

    @property
    def shift(self) -> tuple[float, float]:
        """Shift of the centre, in source B relative to source A: to the right, and down."""
        height, width = self.size
        centre = np.array([(width - 1) / 2, (height - 1) / 2, 1])
        x, y, depth = self.matrix @ centre
        return float(x / depth - centre[0]), float(y / depth - centre[1])

    @property
    def rotation(self) -> float:
        """Rotation of source B relative to source A in degrees, counter-clockwise."""
        return rotation_and_scale(self.matrix)[0]

    @property
    def scale(self) -> float:
        """Size of things in source B, divided by their size in source A."""
        return rotation_and_scale(self.matrix)[1]

    @property
    def confidence(self) -> Literal['high', 'fair', 'low']:
        """Trust in the movement.

        `high`: the halves agree within a pixel of 512, and so do edges and mutual information. `fair`: the halves
        agree within a pixel of 512; or both agree within three pixels of 512, but one pixel at least; or edges say
        nothing, but mutual information finds one movement from most starts. `low`: neither. Images of more than 512
        pixels are compared at 512, so their pixels count in proportion.
        """
        close, rough = self.limits
        if self.measure == 'mutual information':
            return 'fair' if self.uncertainty <= rough else 'low'
        if self.uncertainty <= close:
            return 'high' if self.difference <= close else 'fair'
        return 'fair' if max(self.uncertainty, self.difference) <= rough else 'low'

    @property
    def limits(self) -> tuple[float, float]:
        """Error in pixels that answers of high and of fair confidence may have."""
        return _limits(self.size)

    @property
    def evidence(self) -> str:
        """The phrase that says what the confidence rests on."""
        if self.measure == 'edges':
            halves = f'two halves of the edges differ by {self.uncertainty:.1f} pixels'
            if np.isinf(self.difference):
                return f'{halves}, and mutual information finds no movement'
            return f'{halves}, edges and mutual information by {self.difference:.1f}'
        if np.isinf(self.uncertainty):
            return 'mutual information finds no movement'
        return ('edges say nothing, and mutual information finds movements that differ by '
                f'{self.uncertainty:.1f} pixels from several starts')

    @property
    def verdict(self) -> Literal['aligned', 'misaligned', 'unsure']:
        """`aligned` if the offset is within what the confidence can tell; `unsure` if the confidence is low.

        Where the halves agree within a pixel of 512, the offset may be a pixel, or the uncertainty if that is more.
        Elsewhere it may be three pixels, of 512 in larger images.
        """
        if self.confidence == 'low':
            return 'unsure'
        by_halves = self.measure == 'edges' and self.uncertainty <= self.limits[0]
        tolerance = max(1, self.uncertainty) if by_halves else _ROUGH * _unit(self.size)
        return 'aligned' if self.offset <= tolerance else 'misaligned'


def _unit(size: tuple[int, int]) -> float:
    """Pixels of source A in a pixel of the images that mutual information compares, at least 1."""
    return max(1, max(size) / mutual.LONGEST)


def _limits(size: tuple[int, int]) -> tuple[float, float]:
    """Pixels within which estimates agree closely, and roughly."""
    return _CLOSE * _unit(size), max(1, _ROUGH * max(size) / mutual.LONGEST)


def align(image_a: Shaped[np.ndarray, 'h w ...'], image_b: Shaped[np.ndarray, '_ _ ...'],
          motion: str = 'similarity') -> Alignment:
    """Estimate the movement between two images of one scene, also of different modalities.

    Rotations up to about 25 degrees and scales from 0.78 to 1.28 are searched, with any shift.

        alignment = align(read_image('ir.png'), read_image('vi.png'))
        moved = move(read_image('vi.png'), alignment)

    Args:
        image_a: source A, as `vlfusion.imaging.images.read_image` returns it; it stays where it is.
        image_b: source B, of the same height and width.
        motion: `rigid` (shift and rotation), `similarity` (and scale), `affine` (and shear) or `homography` (and
            perspective). The last two refine a similarity, and are kept if the local shift does not grow. Choose
            `rigid` for images on one grid, such as slices of volumes: a blurred source fits best at a wrong scale.

    Raises:
        ConfigError: the motion is unknown.
        DataError: the images differ in size.
        VLFusionError: SimpleITK is missing.
    """
    check_motion(motion)
    if image_a.shape[:2] != image_b.shape[:2]:
        raise DataError(f'The images differ in size: {image_a.shape[1]}x{image_a.shape[0]} and '
                        f'{image_b.shape[1]}x{image_b.shape[0]}.', 'Choose a rule: --fit resize or --fit crop.')
    a, b = (luminance(image, 'bt601') for image in (image_a, image_b))
    size, base = a.shape, 'rigid' if motion == 'rigid' else 'similarity'
    found = _base_movement(a, b, base)
    matrix, uncertainty = found.matrix, found.uncertainty
    refined = None if motion == base else _refined(a, b, found, motion)
    if refined is None:
        motion = base
    else:
        matrix, uncertainty = refined
    identity, pixels = np.eye(3), in_pixels(matrix, size)
    return Alignment(pixels, size, motion, distance(pixels, identity, size), uncertainty, found.difference,
                     found.distinctness,
                     tuple(mutual.information(a, b, each) for each in (identity, matrix)),
                     tuple(edges.residual(a, b, each) for each in (identity, matrix)), found.measure)


def check_motion(motion: str) -> str:
    """The kind of movement; raises a ConfigError if it is none of `MOTIONS`."""
    if motion not in MOTIONS:
        raise ConfigError(f'Unknown motion {motion!r}.', did_you_mean(motion, MOTIONS))
    return motion


@dataclass(frozen=True)
class _Found:
    """A rigid movement or a similarity in normalised coordinates, and its evidence as in `Alignment`."""

    matrix: Matrix
    uncertainty: float
    difference: float
    distinctness: float
    measure: Literal['edges', 'mutual information']


def _base_movement(a: Plane, b: Plane, motion: str) -> _Found:
    identity = np.eye(3)
    candidates = [edges.refine(a, b, start, motion) for start in (identity, edges.search(a, b, motion))]
    distinctness, number = max((edges.distinctness(a, b, matrix), number) for number, matrix in enumerate(candidates))
    by_edges = candidates[number]
    halves = edges.half_difference(a, b, by_edges, motion)
    if distinctness >= _DISTINCT or (distinctness > 0 and halves <= _limits(a.shape)[0]):
        found = mutual.maximise(a, b, by_edges, motion)
        difference = _apart(by_edges, found[0], a.shape) if found else np.inf
        return _Found(by_edges, halves, difference, distinctness, 'edges')
    results = [mutual.maximise(a, b, start, motion) for start in (identity, *map(movement, _STARTS))]
    best, _ = max(filter(None, results), key=lambda found: found[1], default=(identity, 0.))
    differences = [_apart(best, found[0], a.shape) if found else np.inf for found in results]
    return _Found(best, float(np.median(differences)), np.nan, distinctness, 'mutual information')


def _refined(a: Plane, b: Plane, base: _Found, motion: str) -> tuple[Matrix, float] | None:
    """The similarity refined to `affine` or `homography`, and its uncertainty.

    None if that is not found, or leaves larger local shifts.
    """
    if base.measure == 'edges':
        refined = edges.refine(a, b, base.matrix, motion)
        uncertainty = edges.half_difference(a, b, refined, motion)
    elif motion == 'affine' and (found := mutual.maximise(a, b, base.matrix, motion)):
        refined, _ = found
        uncertainty = max(base.uncertainty, _apart(base.matrix, refined, a.shape))
    else:
        return None
    smaller = edges.residual(a, b, refined) <= edges.residual(a, b, base.matrix)  # false for NaN
    return (refined, uncertainty) if smaller else None


def _apart(first: Matrix, second: Matrix, size: tuple[int, int]) -> float:
    """Mean distance in pixels between two movements in normalised coordinates."""
    return distance(in_pixels(first, size), in_pixels(second, size), size)


def move(image: Shaped[np.ndarray, 'h w *bgr'], alignment: Alignment) -> Shaped[np.ndarray, '_ _ *bgr']:
    """Draw source B on the pixels of source A, with cubic interpolation; pixels that it does not show are black."""
    return warp(image, alignment.matrix, alignment.size)


def known_movement(size: tuple[int, int], shift: tuple[float, float] = (0, 0), rotation: float = 0,
                   scale: float = 1) -> Matrix:
    """The similarity, in pixels, with that shift of the centre, rotation in degrees counter-clockwise, and scale.

    >>> known_movement((101, 101), shift=(3, -2)).tolist()
    [[1.0, 0.0, 3.0], [0.0, 1.0, -2.0], [0.0, 0.0, 1.0]]
    """
    half = max(size) / 2
    turn = movement([0, 0, -np.radians(rotation), np.log(scale)])
    return in_pixels(movement([shift[0] / half, shift[1] / half]) @ turn, size).round(12) + 0.
