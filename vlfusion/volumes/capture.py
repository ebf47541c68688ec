"""DICOM secondary captures: a series of pictures that keep their place in the patient.

The series is new, with UIDs of its own. Nothing of a source's header reaches it, unless a source is given to keep the
patient of.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from vlfusion.errors import DataError, needs
from vlfusion.volumes.dicom import read_header, silent_pydicom
from vlfusion.volumes.volume import Affine, Volume, flipped, spacing_of

_SECONDARY_CAPTURE = '1.2.840.10008.5.1.4.1.1.7'
#: Elements by which a picture belongs to its patient, study and frame of reference.
_PATIENT = ['PatientName', 'PatientID', 'IssuerOfPatientID', 'PatientBirthDate', 'PatientSex', 'PatientAge',
            'StudyInstanceUID', 'StudyID', 'StudyDate', 'StudyTime', 'StudyDescription', 'AccessionNumber',
            'ReferringPhysicianName', 'FrameOfReferenceUID', 'PositionReferenceIndicator']


def write_captures(folder: Path, pictures: Sequence[UInt8[np.ndarray, 'h w *bgr']], affine: Affine, *,
                   title: str, derivation: str, patient: Volume | None = None) -> None:
    """Write pictures as a DICOM series of secondary captures, one file each, into an existing folder.

    Args:
        folder: empty folder.
        pictures: grey `(h, w)` or blue-green-red `(h, w, 3)`, one for each slice.
        affine: matrix from `(column, row, slice, 1)` to millimetres, as in `Volume`.
        title: description of the series.
        derivation: description of how the pictures were made, up to 1024 characters.
        patient: DICOM series whose patient, study and frame of reference are kept; None writes none.

    Raises:
        ConfigError: pydicom is not installed.
        DataError: the volume to keep the patient of is no DICOM series.
    """
    with needs('DICOM files', 'pydicom', 'medical'):
        from pydicom.uid import generate_uid
    kept = _patient(patient) if patient else {}
    study = {'StudyInstanceUID': generate_uid(), 'FrameOfReferenceUID': generate_uid()} | kept
    series = generate_uid()
    for index, picture in enumerate(pictures):
        dataset = _dataset(picture, affine, index)
        for element, value in study.items():
            setattr(dataset, element, value)
        dataset.SeriesInstanceUID, dataset.SeriesDescription = series, title[:64]
        dataset.DerivationDescription = derivation[:1024]
        dataset.PatientIdentityRemoved = 'NO' if kept else 'YES'
        if not kept:
            dataset.DeidentificationMethod = 'vlfusion: no element of a source is copied'
        with silent_pydicom():
            dataset.save_as(folder / f'{index + 1:04d}.dcm', enforce_file_format=True)


def _patient(volume: Volume) -> dict[str, Any]:
    header = read_header(volume.files[0], _PATIENT) if volume.modality else None
    if header is None:
        raise DataError(f'{volume.path} is no DICOM series, so it names no patient to keep.',
                        'Leave --keep-patient out, or give a DICOM series as the source whose grid is kept.')
    with silent_pydicom():
        return {element: header[element].value for element in _PATIENT if element in header}


def _dataset(picture: UInt8[np.ndarray, 'h w *bgr'], affine: Affine, index: int) -> Any:
    """A file of one picture, without patient, study and series."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid
    matrix, (width, height, thickness) = flipped(affine), spacing_of(affine)
    assert picture.dtype == np.uint8, picture.dtype
    coloured = picture.ndim == 3
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = _SECONDARY_CAPTURE, generate_uid()
    for element in ('PatientName', 'PatientID', 'PatientBirthDate', 'PatientSex', 'StudyDate', 'StudyTime', 'StudyID',
                    'AccessionNumber', 'ReferringPhysicianName', 'PositionReferenceIndicator'):
        setattr(dataset, element, '')  # they must be there, and may be empty
    dataset.SpecificCharacterSet = 'ISO_IR 192'
    dataset.Modality, dataset.ConversionType, dataset.ImageType = 'OT', 'WSD', ['DERIVED', 'SECONDARY']
    dataset.Manufacturer, dataset.SeriesNumber, dataset.InstanceNumber = 'vlfusion', 1, index + 1
    dataset.BurnedInAnnotation, dataset.LossyImageCompression = 'NO', '00'
    dataset.ImageOrientationPatient = [_decimal(value) for value in (
        *matrix[:3, 0] / width, *matrix[:3, 1] / height)]
    dataset.ImagePositionPatient = [_decimal(value) for value in (matrix @ (0, 0, index, 1))[:3]]
    dataset.PixelSpacing = [_decimal(height), _decimal(width)]
    dataset.SliceThickness = dataset.SpacingBetweenSlices = _decimal(thickness)
    dataset.Rows, dataset.Columns = picture.shape[:2]
    dataset.SamplesPerPixel = 3 if coloured else 1
    dataset.PhotometricInterpretation = 'RGB' if coloured else 'MONOCHROME2'
    if coloured:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    content = np.ascontiguousarray(picture[..., ::-1] if coloured else picture).tobytes()
    dataset.PixelData = content + b'\0' * (len(content) % 2)
    return dataset


def _decimal(value: float) -> str:
    """A number in the 16 characters of a decimal string."""
    from pydicom.valuerep import format_number_as_ds
    return format_number_as_ds(float(value))
