"""NIfTI files, read and written by nibabel.

nibabel keeps the geometry of a header to the bit, and prefers the sform to the qform, as the tools of neuroimaging do.
SimpleITK rounds the axes and prefers the qform.
"""

import gzip
import os
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from vlfusion.errors import DataError, needs
from vlfusion.files import write_whole
from vlfusion.volumes.volume import Affine, Volume, spacing_of

#: Fields of a NIfTI header that say where the voxels lie.
_GEOMETRY = ('qform_code', 'sform_code', 'quatern_b', 'quatern_c', 'quatern_d', 'qoffset_x', 'qoffset_y', 'qoffset_z',
             'srow_x', 'srow_y', 'srow_z', 'xyzt_units')
#: Length of the units of a header in millimetres; a header without a unit means millimetres.
_MILLIMETRES = {'meter': 1000., 'micron': 0.001}
#: Volume of a voxel, as a part of that of a box with the same edges, at which its edges lie in one plane.
_FLAT = 1e-6
_LONGEST_DESCRIPTION = 79
_ENDINGS = ('.nii', '.nii.gz')


def read_nifti(path: str | os.PathLike) -> Volume:
    """Read a NIfTI file of one volume.

    Raises:
        DataError: the file is damaged, holds several volumes, colours or complex numbers, or has no valid geometry.
        ConfigError: nibabel is not installed.
    """
    with needs('A NIfTI file', 'nibabel', 'medical'):
        import nibabel
    path = Path(path)
    try:
        file = nibabel.load(path)
        shape, kind = file.shape, file.get_data_dtype()
    except (nibabel.filebasedimages.ImageFileError, nibabel.spatialimages.HeaderDataError, OSError, EOFError,
            zlib.error, ValueError) as error:
        raise DataError(f'Cannot read {path} as a NIfTI file.',
                        'Its name must end in .nii or .nii.gz. Otherwise it may be damaged; copy it again.') from error
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) > 3:
        count = int(np.prod(shape[3:]))
        raise DataError(f'{path} holds {count} volumes (its shape is {"x".join(map(str, shape))}), such as a time '
                        'series; only one can be fused.',
                        'Write one of them, or their mean, as a file of its own; in Python: '
                        'nibabel.four_to_three(nibabel.load(path))[0].to_filename(...)')
    if len(shape) < 3:
        raise DataError(f'{path} holds a picture of {"x".join(map(str, shape))}, not a volume.',
                        'Save it as a 16-bit PNG or TIFF file.')
    if kind.names or kind.kind not in 'iuf':
        raise DataError(f'{path} holds {"colours" if kind.names else kind} in its voxels; expected one real number '
                        'each.', 'Give the volume of numbers that it was made from.')
    affine = np.array(file.affine, float)
    affine[:3] *= _MILLIMETRES.get(file.header.get_xyzt_units()[0], 1.)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) <= _FLAT * spacing_of(affine).prod():
        raise DataError(f'{path} does not say where its voxels lie: its matrix has no inverse.',
                        'Set the sform or the qform of its header.')
    try:
        values = np.asanyarray(file.dataobj, np.float32).reshape(shape)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise DataError(f'{path} is truncated or damaged.', 'Copy it again.') from error
    header = file.header
    placed = header['qform_code'] > 0 or header['sform_code'] > 0
    remark = '' if placed else 'its header states no place in space, so its centre is taken as the origin'
    files = tuple(Path(holder.filename) for holder in file.file_map.values())  # .hdr and .img, or one file
    return Volume(values, affine, path, files, remark=remark, header=header)


def write_nifti(path: str | os.PathLike, values: UInt8[np.ndarray, 'i j k *rgb'], affine: Affine, *,
                like: Volume | None = None, description: str = '') -> None:
    """Write a NIfTI file, whole or not at all.

    Args:
        path: file that ends in `.nii` or `.nii.gz`.
        values: luminance `(i, j, k)`, or red, green and blue `(i, j, k, 3)`.
        affine: matrix from indices to millimetres, as in `Volume`.
        like: volume on the same grid. If it was a NIfTI file, its geometry is copied to the bit. Nothing else of its
            header is copied, since a header may hold a patient's name.
        description: text for the header, cut to 79 bytes of ASCII.
    """
    import nibabel
    assert values.dtype == np.uint8, values.dtype
    if values.ndim == 4:
        values = np.ascontiguousarray(values).view([('R', 'u1'), ('G', 'u1'), ('B', 'u1')])[..., 0]
    if like is not None and like.header is not None:
        file = nibabel.Nifti1Image(values, like.header.get_best_affine())
        for key in _GEOMETRY:
            file.header[key] = like.header[key]
        file.header['pixdim'][:4] = like.header['pixdim'][:4]
    else:
        file = nibabel.Nifti1Image(values, affine)
        file.header.set_xyzt_units('mm')
        file.set_sform(affine, code=1)
        try:
            file.set_qform(affine, code=1, strip_shears=False)
        except nibabel.spatialimages.HeaderDataError:  # a qform cannot hold a tilted grid
            file.header['qform_code'] = 0
    file.header['descrip'] = description.encode('ascii', 'replace')[:_LONGEST_DESCRIPTION]
    content = file.to_bytes()
    write_whole(path, gzip.compress(content, 6, mtime=0) if str(path).lower().endswith('.gz') else content)


def is_nifti_name(path: str | os.PathLike) -> bool:
    """Tell whether a path ends as a NIfTI file does.

    >>> is_nifti_name('fused.nii.gz'), is_nifti_name('fused.png')
    (True, False)
    """
    return str(path).lower().endswith(_ENDINGS)
