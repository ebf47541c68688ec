"""DICOM series: pydicom reads the headers, SimpleITK decodes the voxels.

SimpleITK shows no sequences of a header, which PET needs for its SUV, and places the slices of a tilted gantry wrongly.
"""

import logging
import os
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from vlfusion.errors import DataError, VLFusionError, listing, needs
from vlfusion.imaging.reading.file import identify_file
from vlfusion.volumes.suv import SUV, earliest, suv_factor
from vlfusion.volumes.volume import Affine, Volume, flipped

#: Elements that are read. None of them holds the name of a person.
_ELEMENTS = [
    'SOPClassUID', 'SeriesInstanceUID', 'SeriesNumber', 'Modality', 'FrameOfReferenceUID', 'NumberOfFrames',
    'PixelRepresentation', 'PixelPaddingValue', 'PixelPaddingRangeLimit', 'RescaleSlope', 'RescaleIntercept',
    'SamplesPerPixel', 'PhotometricInterpretation', 'Rows', 'Columns', 'PixelSpacing', 'ImagePositionPatient',
    'ImageOrientationPatient', 'SliceThickness', 'SpacingBetweenSlices', 'Units', 'SUVType', 'CorrectedImage',
    'DecayCorrection', 'PatientWeight', 'RadiopharmaceuticalInformationSequence', 'SeriesDate', 'SeriesTime',
    'AcquisitionDate', 'AcquisitionTime']
#: Part of the distance of slices by which a slice may lie beside its place on the grid.
_PART = 0.01
#: Millimetres that it may do so for rounding, and the most that these are as a part of the distance.
_ROUNDING, _MOST = 0.02, 0.1
_ONE_SERIES = 'Give one file of the wanted series instead of the folder: its whole series is read.'
_BY_CONVERTER = 'Convert it to a NIfTI file, for example with dcm2niix.'


def is_dicom(path: str | os.PathLike) -> bool:
    """Tell whether a file is a DICOM file, by its first bytes or its ending."""
    return (identify_file(path) or ('',))[0] == 'a DICOM file'


def read_series(path: str | os.PathLike) -> Volume:
    """Read a DICOM series.

    PET becomes SUV by body weight if the header allows it. Padding, as around the circle of a CT, becomes NaN.

    Args:
        path: folder with one series; or one of its files, where the folder may hold other series too.

    Raises:
        DataError: the folder holds no series or several; or the series is multi-frame, in colour, a time series, or
            lacks slices.
        ConfigError: pydicom or SimpleITK is not installed.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    series = defaultdict(dict)
    for file in sorted(entry for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith('.')):
        header = read_header(file, _ELEMENTS)
        if header is not None and _holds_image(file, header):
            series[str(header.get('SeriesInstanceUID', ''))][file] = header
    if not path.is_dir():
        series = {uid: files for uid, files in series.items() if path in files}
    if not series:
        raise DataError(f'{path} holds no DICOM image.', 'Give the folder of a series, or a file in it.')
    if len(series) > 1:
        lines = [f'series {next(iter(files.values())).get("SeriesNumber", "?")}: '
                 f'{next(iter(files.values())).get("Modality", "?")}, {len(files)} files, such as {next(iter(files))}'
                 for files in series.values()]
        raise DataError(f'{path} holds {len(series)} DICOM series:\n{listing(lines)}', _ONE_SERIES)
    [files] = series.values()
    try:
        with silent_pydicom():  # values are decoded when they are used
            return _volume(path, files)
    except (AttributeError, TypeError, ValueError) as error:  # those of pydicom may quote values
        if isinstance(error, VLFusionError):
            raise
        raise DataError(f'A header of {path} holds a value that is not valid.', _BY_CONVERTER) from None


def read_header(file: Path, elements: Sequence[str] | None = None) -> Any:
    """Read elements of a DICOM file as a `pydicom.Dataset` without voxels; None if it is not DICOM."""
    with needs('A DICOM series', 'pydicom', 'medical'):
        import pydicom
    if not is_dicom(file):
        return None
    try:
        with silent_pydicom():
            return pydicom.dcmread(file, stop_before_pixels=True, force=True, specific_tags=elements)
    except Exception:  # pydicom raises many kinds of errors for damaged files, and they may quote values
        raise DataError(f'Cannot read the DICOM header of {file}.', 'It may be damaged; copy it again.') from None


def _holds_image(file: Path, header: Any) -> bool:
    """Tell whether a file is an image, and no directory, report or contour; raises DataError if it is damaged."""
    from pydicom.uid import UID
    if 'Rows' in header:
        return True
    kind = UID(str(header.get('SOPClassUID') or header.file_meta.get('MediaStorageSOPClassUID') or ''))
    if not kind or kind.name.endswith('Image Storage'):
        raise DataError(f'{file} is empty or damaged.', 'Copy it again.')
    return False


@contextmanager
def silent_pydicom() -> Iterator[None]:
    """Keep warnings of pydicom off the terminal and the log: they quote values, which may be names of patients."""
    log = logging.getLogger('pydicom')
    before, log.disabled = log.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        log.disabled = before


def _volume(path: Path, files: dict[Path, Any]) -> Volume:
    for file, header in files.items():
        _check_slice(file, header)
    headers = list(files.values())
    first = headers[0]
    for element in ('Rows', 'Columns', 'PixelSpacing', 'ImageOrientationPatient'):
        values = np.array([np.ravel(header[element].value).astype(float) for header in headers])
        if np.abs(values - values[0]).max() > 1e-4:
            raise DataError(f'The slices of {path} differ in {element}, as those of a localiser do.',
                            'Give a series of parallel slices of one size.')
    order, affine = _place(path, headers)
    ordered = [list(files)[index] for index in order]
    factor, reason = suv_factor(earliest(headers)) if first.get('Modality') == 'PT' else (1., '')
    values = _decode(path, ordered)
    for index, file in enumerate(ordered):
        _drop_padding(values[:, :, index], files[file])
    values *= np.float32(factor)
    unit = {'CT': 'HU', 'PT': '' if reason else SUV}.get(str(first.get('Modality')), '')
    return Volume(values, affine, path, tuple(ordered), str(first.get('Modality', '')), unit,
                  f'its values are not SUV: {reason}' if reason else '', str(first.get('FrameOfReferenceUID', '')))


def _check_slice(file: Path, header: Any) -> None:
    if int(header.get('NumberOfFrames') or 1) > 1:
        raise DataError(f'{file} is multi-frame: it holds {header.NumberOfFrames} frames in one file.', _BY_CONVERTER)
    if int(header.get('SamplesPerPixel') or 1) > 1:
        raise DataError(f'{file} is in colour.', 'Give the series of numbers that it was made from.')
    if header.get('PhotometricInterpretation') == 'MONOCHROME1':
        raise DataError(f'{file} is stored as a negative (MONOCHROME1).', _BY_CONVERTER)
    lacking = [element for element in ('Rows', 'Columns', 'PixelSpacing', 'ImagePositionPatient',
                                       'ImageOrientationPatient') if header.get(element) is None]
    if lacking:
        raise DataError(f'{file} does not say where its voxels lie: it lacks {", ".join(lacking)}.',
                        'Give a series with its geometry, or save the picture as a 16-bit PNG or TIFF file.')


def _place(path: Path, headers: Sequence[Any]) -> tuple[list[int], Affine]:
    """The order of the slices, and the matrix of their grid; raises DataError if they do not lie on one."""
    row, column = np.reshape(np.array(headers[0].ImageOrientationPatient, float), (2, 3))
    down, across = np.array(headers[0].PixelSpacing, float)
    positions = np.array([header.ImagePositionPatient for header in headers], float)
    normal = np.cross(row, column)
    order = np.argsort(positions @ normal, kind='stable')
    positions = positions[order]
    if len(positions) > 1:
        step = (positions[-1] - positions[0]) / (len(positions) - 1)
        gaps = np.diff(positions @ normal)
        rounding = min(_ROUNDING, _MOST * gaps.mean())  # the voxels of a micro-CT are smaller
        if gaps.min() <= rounding:
            raise DataError(f'{path} holds several slices at one place, as time series and series of several echoes '
                            'do; only one volume can be fused.', 'Sort the files of one volume into a folder.')
        beside = np.linalg.norm(positions - positions[0] - np.outer(np.arange(len(positions)), step), axis=1).max()
        if beside > max(rounding, _PART * np.median(gaps)):
            raise DataError(f'The slices of {path} are {gaps.min():.4g} to {gaps.max():.4g} mm apart, so they lie on '
                            'no regular grid.', 'Slices may be missing: copy the series again. Otherwise resample it.')
    else:
        step = normal * float(headers[0].get('SpacingBetweenSlices') or headers[0].get('SliceThickness') or 1)
    matrix = np.eye(4)
    matrix[:3] = np.column_stack([row * across, column * down, step, positions[0]])
    return order.tolist(), flipped(matrix)


def _drop_padding(values: np.ndarray, header: Any) -> None:
    """Set the pixels of a slice to NaN that hold the padding value of its header, or its range of them."""
    if header.get('PixelPaddingValue') is None:
        return
    kind = np.int16 if header.get('PixelRepresentation') else np.uint16  # some headers mix up the two
    ends = np.array([header.PixelPaddingValue, header.get('PixelPaddingRangeLimit', header.PixelPaddingValue)])
    slope = float(header.get('RescaleSlope') or 1)
    low, high = np.sort(ends.astype(kind) * slope + float(header.get('RescaleIntercept') or 0))
    values[(values > low - abs(slope) / 2) & (values < high + abs(slope) / 2)] = np.nan


def _decode(path: Path, files: Sequence[Path]) -> np.ndarray:
    with needs('A DICOM series', 'SimpleITK', 'medical'):
        import SimpleITK
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames([str(file) for file in files])
    reader.SetOutputPixelType(SimpleITK.sitkFloat32)  # slopes may differ from slice to slice, as in PET
    try:
        image = reader.Execute()
    except RuntimeError:
        raise DataError(f'Cannot decode the voxels of {path}.',
                        'A file may be damaged, or packed in a way that SimpleITK does not know: copy the series '
                        'again, or convert it to a NIfTI file.') from None
    return SimpleITK.GetArrayFromImage(image).T
