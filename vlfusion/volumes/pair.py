"""Two volumes on one grid, cut into upright pictures."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32, Shaped, UInt16

from vlfusion.errors import ConfigError, DataError, did_you_mean, needs
from vlfusion.volumes.volume import Affine, Volume, flipped, spacing_of, to_image
from vlfusion.volumes.windows import find_window

#: The directions in which a picture's columns, its rows and the slices go on, for slices of each orientation. So the
#: patient's right is at the left of axial and coronal pictures, and the front at the top or left.
AXES = {'axial': 'LPS', 'coronal': 'LIP', 'sagittal': 'PIL'}
#: A step that is longer than the others by this factor is that from slice to slice.
_THICKER = 1.05
#: Rounding of float32 in the sum of the weights of an interpolation.
_ROUNDING = 1e-5


class VolumePair:
    """Two volumes on the grid of one of them, and its slices as pairs of 16-bit pictures.

        pair = VolumePair(read_volume('mri.nii.gz'), read_volume('pet.nii.gz'), window_a='percentile')
        mri, pet = pair.pictures(40)

    The other volume is interpolated linearly at the world coordinates of the grid's voxels. A finer volume is not
    smoothed before. Voxels outside of it have no value and are black.

    Args:
        volume_a: source A.
        volume_b: source B.
        onto: the source whose grid is kept, `a` or `b`.
        axis: orientation of the slices, one of `AXES`; by default that of the acquisition: across the longest step of
            the grid, or along its last index if no step is longer.
        window_a, window_b: rules of `vlfusion.volumes.windows.find_window`.

    Attributes:
        grid: the volume whose grid is kept.
        axis: orientation of the slices.
        window_a, window_b: the windows with their numbers.
        coverage: fraction of the grid that lies inside the other volume.

    Raises:
        ConfigError: an option has an unknown value, or SimpleITK or nibabel is not installed.
        DataError: the volumes do not overlap, or a window does not fit its volume.
    """

    def __init__(self, volume_a: Volume, volume_b: Volume, *, onto: str = 'a', axis: str | None = None,
                 window_a: str | None = None, window_b: str | None = None):
        if onto not in ('a', 'b'):
            raise ConfigError(f'The grid of one source is kept, a or b, but got {onto!r}.', 'Write onto a or onto b.')
        if axis is not None and axis not in AXES:
            raise ConfigError(f'Unknown axis {axis!r}.', did_you_mean(str(axis), AXES))
        with needs('Fusing volumes', 'nibabel', 'medical'):
            import nibabel.orientations  # noqa: F401
        self.volumes, self.onto = (volume_a, volume_b), onto
        self.grid, other = (volume_a, volume_b) if onto == 'a' else (volume_b, volume_a)
        self.axis = axis or acquisition_axis(self.grid.affine)
        self.window_a, self.window_b = find_window(window_a, volume_a), find_window(window_b, volume_b)
        values = resample(other, self.grid)
        self.coverage = float(np.isfinite(values).mean())
        if not self.coverage:
            raise DataError(f'{volume_a.path} and {volume_b.path} do not overlap: by their headers they lie in '
                            'different places.', 'Register one to the other first, and give the registered volumes.')
        self._values = [self._cut(self.grid.values), self._cut(values)]
        if onto == 'b':
            self._values.reverse()

    def __len__(self) -> int:
        """Return the number of slices."""
        return self._values[0].shape[2]

    def pictures(self, index: int) -> tuple[UInt16[np.ndarray, 'h w'], UInt16[np.ndarray, 'h w']]:
        """Return a slice of both sources as 16-bit grey levels, upright, in the order of `AXES`."""
        return tuple(window.levels(np.ascontiguousarray(values[:, :, index].T))
                     for window, values in zip((self.window_a, self.window_b), self._values, strict=True))

    def inside_b(self, index: int) -> Bool[np.ndarray, 'h w']:
        """Return a mask of the pixels of a slice where source B has a value."""
        return np.isfinite(self._values[1][:, :, index].T)

    def put_together(self, pictures: Sequence[Shaped[np.ndarray, 'h w *rgb']]) -> Shaped[np.ndarray, 'i j k *rgb']:
        """Return one picture for each slice as an array on the grid, in the order of its indices."""
        from nibabel.orientations import apply_orientation
        return apply_orientation(np.stack([np.swapaxes(picture, 0, 1) for picture in pictures], axis=2),
                                 _turn(AXES[self.axis], self.grid.affine, back=True))

    @cached_property
    def affine(self) -> Affine:
        """Matrix from `(column, row, slice, 1)` of the pictures to millimetres, as in `Volume`."""
        from nibabel.orientations import inv_ornt_aff
        return self.grid.affine @ inv_ornt_aff(_turn(AXES[self.axis], self.grid.affine), self.grid.shape)

    @property
    def aspect(self) -> float:
        """Height over width of a picture's pixels."""
        width, height, _ = spacing_of(self.affine)
        return float(height / width)

    def _cut(self, values: Float32[np.ndarray, 'i j k']) -> Float32[np.ndarray, 'column row slice']:
        from nibabel.orientations import apply_orientation
        return apply_orientation(values, _turn(AXES[self.axis], self.grid.affine))


def acquisition_axis(affine: Affine) -> str:
    """Return the orientation of the slices that a grid was acquired in: the nearest of `AXES`.

    >>> acquisition_axis(np.diag([1., 1., 5., 1.])), acquisition_axis(np.diag([1., 5., 1., 1.]))
    ('axial', 'coronal')
    """
    from nibabel.orientations import aff2axcodes
    spacing = spacing_of(affine)
    longest = int(np.argmax(spacing))
    index = longest if spacing[longest] > _THICKER * np.delete(spacing, longest).max() else 2
    code = aff2axcodes(affine)[index]
    return next(axis for axis, codes in AXES.items() if code in {'L': 'LR', 'P': 'PA', 'S': 'SI'}[codes[2]])


def resample(volume: Volume, grid: Volume) -> Float32[np.ndarray, 'i j k']:
    """Interpolate a volume linearly at the voxels of another one's grid; NaN where it has no value.

    Beside voxels without a value, the weights of the others are normalised, so that their mean is taken. A place has a
    value if at least half of the weight is theirs: padding is followed to half a voxel, like the border of the volume.
    """
    if volume.shape == grid.shape and np.array_equal(volume.affine, grid.affine):
        return volume.values
    with needs('Fusing volumes', 'SimpleITK', 'medical'):
        import SimpleITK
    matrix, spacing = flipped(grid.affine), spacing_of(grid.affine)

    def interpolated(values: Float32[np.ndarray, '_ _ _']) -> Float32[np.ndarray, 'i j k']:
        image = SimpleITK.Resample(
            to_image(values, volume.affine), grid.shape, SimpleITK.Transform(), SimpleITK.sitkLinear,
            matrix[:3, 3].tolist(), spacing.tolist(), (matrix[:3, :3] / spacing).ravel().tolist(), float('nan'),
            SimpleITK.sitkFloat32)
        return SimpleITK.GetArrayFromImage(image).T

    known = np.isfinite(volume.values)
    if known.all():
        return interpolated(volume.values)
    weights = interpolated(known.astype(np.float32))
    enough = weights >= 0.5 - _ROUNDING
    return np.divide(interpolated(np.where(known, volume.values, np.float32(0))), weights, where=enough,
                     out=np.full_like(weights, np.nan))


def _turn(codes: str, affine: Affine, back: bool = False) -> Shaped[np.ndarray, '3 2']:
    """The permutation and flips from a grid's indices to a picture's, or back."""
    from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
    orientations = io_orientation(affine), axcodes2ornt(codes)
    return ornt_transform(*(reversed(orientations) if back else orientations))
