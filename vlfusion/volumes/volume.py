"""A volume in memory: voxels, and where they lie in the patient."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Shaped

#: Affine matrix from voxel indices `(i, j, k, 1)` to millimetres, x to the right, y to the front, z up (as NIfTI).
Affine = Float[np.ndarray, '4 4']


@dataclass(frozen=True)
class Volume:
    """One volume of scalars.

    Attributes:
        values: voxels; NaN where there is no value.
        affine: matrix from `(i, j, k, 1)` to millimetres, x to the right, y to the front, z up.
        path: the file or folder that it was read from.
        files: all files that it was read from, in the order of the slices.
        modality: DICOM's word, such as MR, CT, PT or NM; empty for files without one.
        unit: unit of the values, such as HU or SUVbw; empty if the file does not say.
        remark: remark for the user about the values, such as the reason that they are not SUV; empty if there is none.
        frame: DICOM's UID of the frame of reference; empty for files without one.
        header: header of a NIfTI file, whose geometry is copied to what is written; None for other files.
    """

    values: Float32[np.ndarray, 'i j k']
    affine: Affine
    path: Path
    files: tuple[Path, ...]
    modality: str = ''
    unit: str = ''
    remark: str = ''
    frame: str = ''
    header: Any = field(default=None, repr=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along each index."""
        return self.values.shape

    @property
    def spacing(self) -> Float[np.ndarray, '3']:
        """Distance of neighbouring voxels along each index, in millimetres."""
        return spacing_of(self.affine)

    def __str__(self) -> str:
        """The modality, the grid and the unit in words."""
        size, step = 'x'.join(map(str, self.shape)), 'x'.join(f'{length:.3g}' for length in self.spacing)
        return f'{self.modality or "volume"}, {size} voxels of {step} mm' + (f' in {self.unit}' if self.unit else '')


def spacing_of(affine: Affine) -> Float[np.ndarray, '3']:
    """Return the lengths of the three steps of a grid in millimetres.

    >>> spacing_of(np.diag([2., -3., 4., 1.])).tolist()
    [2.0, 3.0, 4.0]
    """
    return np.linalg.norm(affine[:3, :3], axis=0)


def flipped(affine: Affine) -> Affine:
    """Convert between NIfTI's axes (right, front, up) and DICOM's (left, back, up); both ways are the same.

    >>> flipped(np.diag([1., 1., 1., 1.])).diagonal().tolist()
    [-1.0, -1.0, 1.0, 1.0]
    """
    return np.diag([-1., -1., 1., 1.]) @ affine


def to_image(values: Shaped[np.ndarray, 'i j k'], affine: Affine) -> Any:
    """Return a `SimpleITK.Image` of voxels at their place."""
    import SimpleITK
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(values.T))
    matrix, spacing = flipped(affine), spacing_of(affine)
    image.SetOrigin(matrix[:3, 3].tolist())
    image.SetSpacing(spacing.tolist())
    image.SetDirection((matrix[:3, :3] / spacing).ravel().tolist())
    return image
