"""Volumes for tests, written by nibabel and pydicom: a smooth blob on any grid, as NIfTI or as a DICOM series."""

from pathlib import Path

import nibabel
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

#: A name that no log, record or picture may hold.
PATIENT = 'Okonkwo^Adaeze'
CLASSES = {'MR': '1.2.840.10008.5.1.4.1.1.4', 'CT': '1.2.840.10008.5.1.4.1.1.2', 'PT': '1.2.840.10008.5.1.4.1.1.128'}


def rotation(degrees, axis):
    """The rotation about an axis by Rodrigues' formula."""
    x, y, z = np.array(axis) / np.linalg.norm(axis)
    cross, angle = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]), np.radians(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def grid(shape, spacing=(1, 1, 1), turn=None, centre=(0, 0, 0)):
    """The affine of a grid about a centre; `turn` is a matrix of directions."""
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if turn is None else turn) * np.array(spacing)
    affine[:3, 3] = np.array(centre) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def ramp(shape, affine, direction=(3, 5, 7), offset=500):
    """Values that are linear in world coordinates, so that linear interpolation is exact."""
    points = np.stack([*np.meshgrid(*map(np.arange, shape), indexing='ij'), np.ones(shape)], axis=-1) @ affine.T
    return (points[..., :3] @ direction + offset).astype(np.float32)


def write_nifti(path, values, affine, **header):
    """Write a NIfTI file by nibabel, and return its path."""
    image = nibabel.Nifti1Image(values, affine)
    for key, value in header.items():
        image.header[key] = value
    image.to_filename(path)
    return path


def write_series(folder, values, affine, modality='MR', skip=(), **elements):
    """Write a DICOM series by pydicom, in shuffled order of files, and return its folder.

    Args:
        folder: folder to make.
        values: integers `(i, j, k)`, one file for each k.
        affine: matrix to millimetres, x to the left and y to the back as in DICOM.
        modality: `MR`, `CT` or `PT`.
        skip: slices to leave out.
        elements: further elements of each file; a list has one value for each slice.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    study, series, frame = (generate_uid() for _ in range(3))
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    for index in range(values.shape[2]):
        if index in skip:
            continue
        data = Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.SOPClassUID, data.SOPInstanceUID = CLASSES[modality], generate_uid()
        data.PatientName, data.PatientID, data.PatientBirthDate = PATIENT, 'MRN-4711', '19610203'
        data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = study, series, frame
        data.Modality, data.SeriesNumber, data.InstanceNumber = modality, 3, index + 1
        data.SeriesDescription = f'{PATIENT} head'
        data.ImagePositionPatient = [f'{value:.9f}' for value in (affine @ (0, 0, index, 1))[:3]]
        data.ImageOrientationPatient = [f'{value:.12f}' for value in (affine[:3, :2] / spacing[:2]).T.ravel()]
        down, across, data.SliceThickness = (f'{spacing[axis]:.12g}' for axis in (1, 0, 2))
        data.PixelSpacing = [down, across]
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, 'MONOCHROME2'
        data.Rows, data.Columns = values.shape[1], values.shape[0]
        data.BitsAllocated = data.BitsStored = 16
        data.HighBit, data.PixelRepresentation = 15, 1
        data.RescaleSlope, data.RescaleIntercept = 1, 0
        for element, value in elements.items():
            setattr(data, element, value[index] if isinstance(value, list) and len(value) > 1 else value)
        data.PixelData = np.ascontiguousarray(values[:, :, index].T.astype('<i2')).tobytes()
        data.save_as(folder / f'IM{index * 37 % 101:03d}.dcm', enforce_file_format=True)
    return folder
