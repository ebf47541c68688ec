"""From a path to a volume: NIfTI, DICOM, and the other formats of SimpleITK."""

import os
import re
from itertools import islice
from pathlib import Path

import numpy as np

from vlfusion.errors import DataError, needs
from vlfusion.imaging.reading.file import identify_file, unreadable
from vlfusion.volumes.dicom import is_dicom, read_series
from vlfusion.volumes.nifti import is_nifti_name, read_nifti
from vlfusion.volumes.volume import Volume, flipped

_WITH_HEADER = ('an NRRD volume', 'a MetaImage volume')
_KINDS = ('a NIfTI volume', *_WITH_HEADER, 'a DICOM file')
_LONGEST_HEADER = 2 ** 16
#: The line of a header of MetaImage or NRRD that names the file of the voxels.
_DATA = re.compile(rb'^(?:ElementDataFile *=|data ?file:) *(.+?)\s*$', re.MULTILINE)
#: Files of a folder that are looked at to find out if it holds DICOM.
_LOOKED_AT = 20


def is_volume(path: str | os.PathLike) -> bool:
    """Tell whether a path is a file of a volume, or a folder that holds DICOM files."""
    path = Path(path)
    if path.is_dir():
        files = sorted(entry for entry in path.iterdir() if entry.is_file() and not entry.name.startswith('.'))
        return any(map(is_dicom, islice(files, _LOOKED_AT)))
    return path.is_file() and (is_nifti_name(path) or _kind(path) in _KINDS)


def read_volume(path: str | os.PathLike) -> Volume:
    """Read a volume.

        volume = vlfusion.read_volume('pet.nii.gz')
        volume.values, volume.affine

    Args:
        path: NIfTI file; folder of a DICOM series, or one of its files; or an NRRD or MetaImage file.

    Raises:
        DataError: the path holds no volume or several, such as a time series, or values other than real numbers; or
            files are damaged, or do not say where the voxels lie.
        ConfigError: SimpleITK, nibabel or pydicom is not installed.
    """
    path = Path(path)
    if not path.is_dir() and (problem := unreadable(path)):
        raise DataError(*problem)
    if path.is_dir() or is_dicom(path):
        volume = read_series(path)
    elif is_nifti_name(path) or _kind(path) == 'a NIfTI volume':
        volume = read_nifti(path)
    else:
        volume = _by_simpleitk(path)
    if not np.isfinite(volume.values).any():
        raise DataError(f'{path} has no voxel with a value.', 'Give a volume that is not empty.')
    return volume


def files_of(path: str | os.PathLike) -> list[Path]:
    """Return the files that a volume may be read from: those of its folder, or a header and the file of its voxels."""
    path = Path(path)
    if path.is_dir() or is_dicom(path):
        files = sorted((path if path.is_dir() else path.parent).iterdir())
    else:
        files = [path, path.with_suffix('.img')] if path.suffix.lower() == '.hdr' else [path, *_voxel_file(path)]
    return [file for file in files if file.is_file()]


def _voxel_file(path: Path) -> list[Path]:
    """The file of the voxels that a header of MetaImage or NRRD names; none if they follow the header."""
    if _kind(path) not in _WITH_HEADER:
        return []
    with path.open('rb') as file:
        match = _DATA.search(file.read(_LONGEST_HEADER))
    name = match[1].decode(errors='replace') if match else 'LOCAL'
    if '%' in name or name.upper().startswith('LIST'):
        raise DataError(f'The voxels of {path} lie in several files.', 'Write the volume as one .nii.gz file.')
    return [] if name.upper() == 'LOCAL' else [path.parent / name]


def _kind(path: Path) -> str:
    """The format of a file in words; empty if it is not known."""
    return (identify_file(path) or ('', ''))[0]


def _by_simpleitk(path: Path) -> Volume:
    with needs('A volume', 'SimpleITK', 'medical'):
        import SimpleITK
    files = [path, *_voxel_file(path)]
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        if reader.GetDimension() != 3 or reader.GetNumberOfComponents() != 1:
            raise DataError(f'{path} has {reader.GetDimension()} dimensions and {reader.GetNumberOfComponents()} '
                            'numbers in each voxel; expected 3 dimensions and one number.',
                            'Write one volume of real numbers as a file of its own.')
        reader.SetOutputPixelType(SimpleITK.sitkFloat32)
        image = reader.Execute()
    except RuntimeError as error:
        raise DataError(f'Cannot read {path} as a volume.', 'It may be damaged; copy it again.') from error
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.array(image.GetSpacing())
    matrix[:3, 3] = image.GetOrigin()
    return Volume(SimpleITK.GetArrayFromImage(image).T, flipped(matrix), path, tuple(files))
