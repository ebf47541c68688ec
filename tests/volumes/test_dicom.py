"""DICOM series by pydicom: order, geometry, slopes, tilted gantries, and what is refused."""

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.fileset import FileSet
from volumetric import PATIENT, grid, rotation, write_series

from vlfusion.errors import DataError
from vlfusion.volumes.reading import is_volume, read_volume
from vlfusion.volumes.volume import flipped
from vlfusion.volumes.windows import find_window

SHAPE = 10, 8, 6
AFFINE = grid(SHAPE, (0.7, 0.9, 4.5), rotation(25, (1, -2, 1)), (-31.25, 17.5, 60))
VALUES = np.random.default_rng(0).integers(-900, 900, SHAPE)


def test_slices_are_sorted_by_their_place(tmp_path):
    volume = read_volume(write_series(tmp_path / 'ct', VALUES, AFFINE, 'CT'))
    np.testing.assert_array_equal(volume.values, VALUES)
    np.testing.assert_allclose(volume.affine, flipped(AFFINE), atol=1e-5)
    assert (volume.modality, volume.unit, len(volume.files)) == ('CT', 'HU', 6)
    assert is_volume(tmp_path / 'ct') and not is_volume(tmp_path)


def test_the_place_is_that_of_simpleitk(tmp_path):
    folder = write_series(tmp_path / 'mr', VALUES, AFFINE)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image, volume = reader.Execute(), read_volume(folder)
    for index in ((0, 0, 0), (9, 7, 5), (3, 0, 4)):
        ours = (flipped(volume.affine) @ (*index, 1))[:3]
        np.testing.assert_allclose(ours, image.TransformIndexToPhysicalPoint(index), atol=1e-5)
        assert image[index] == volume.values[index]


def test_each_slice_has_its_own_slope(tmp_path):
    slopes = [0.25, 0.5, 1, 2, 4, 8]
    volume = read_volume(write_series(tmp_path / 'mr', VALUES, AFFINE, RescaleSlope=slopes, RescaleIntercept=1.5))
    np.testing.assert_allclose(volume.values, VALUES * np.array(slopes) + 1.5)


def test_a_tilted_gantry_keeps_its_grid(tmp_path):
    tilted = grid(SHAPE, (0.7, 0.9, 4.5))
    tilted[1, 2] = 1.2  # each slice lies 1.2 mm further back
    volume = read_volume(write_series(tmp_path / 'ct', VALUES, tilted, 'CT'))
    np.testing.assert_allclose(volume.affine, flipped(tilted), atol=1e-5)


def test_a_file_of_a_series_stands_for_its_series(tmp_path):
    write_series(tmp_path, VALUES, AFFINE)
    (tmp_path / 'notes.txt').write_text('no image')
    first = read_volume(tmp_path)
    for path in sorted(tmp_path.glob('*.dcm')):
        path.rename(path.with_name(f'first_{path.name}'))
    write_series(tmp_path, VALUES + 1, AFFINE)
    with pytest.raises(DataError, match=r'2 DICOM series:\n.*series 3: MR, 6 files, such as .*dcm') as error:
        read_volume(tmp_path)
    assert 'Okonkwo' not in str(error.value)
    np.testing.assert_array_equal(read_volume(next(tmp_path.glob('first_*'))).values, first.values)


def test_one_slice_is_as_thick_as_it_says(tmp_path):
    volume = read_volume(write_series(tmp_path, VALUES[:, :, :1], AFFINE))
    np.testing.assert_allclose(volume.affine, flipped(AFFINE), atol=1e-5)


@pytest.mark.parametrize(('changes', 'problem'), [
    (dict(skip=(2,)), 'are 4.5 to 9 mm apart, so they lie on no regular grid'),
    (dict(NumberOfFrames=3), 'is multi-frame: it holds 3 frames'),
    (dict(SamplesPerPixel=3), 'is in colour'),
    (dict(PhotometricInterpretation='MONOCHROME1'), 'is stored as a negative'),
    (dict(ImagePositionPatient=None), 'it lacks ImagePositionPatient'),
    (dict(ImagePositionPatient=[0, 0, 0]), 'several slices at one place'),
    (dict(PixelSpacing=[[1 + index, 1] for index in range(6)]), 'differ in PixelSpacing')])
def test_series_that_are_no_volume(tmp_path, changes, problem):
    if 'ImagePositionPatient' in changes and changes['ImagePositionPatient']:
        changes = {'ImagePositionPatient': [changes['ImagePositionPatient']] * 6}
    with pytest.raises(DataError, match=problem) as error:
        read_volume(write_series(tmp_path, VALUES, AFFINE, **changes))
    assert PATIENT not in str(error.value)


def test_the_slices_of_a_micro_ct(tmp_path):
    affine = grid(SHAPE, (0.008, 0.008, 0.01))
    volume = read_volume(write_series(tmp_path / 'whole', VALUES, affine, 'CT'))
    np.testing.assert_allclose(volume.affine, flipped(affine), atol=1e-6)
    with pytest.raises(DataError, match='0.01 to 0.02 mm apart'):
        read_volume(write_series(tmp_path / 'part', VALUES, affine, 'CT', skip=(2,)))


@pytest.mark.parametrize('implicit', [False, True])
@pytest.mark.parametrize(('padding', 'further'), [(-2000, {}), (63536, {}), (-2000, {'PixelPaddingRangeLimit': -1900})])
def test_padding_has_no_value(tmp_path, padding, further, implicit):
    values = VALUES.copy()
    values[:3], values[3, 0] = -2000, -1950
    folder = write_series(tmp_path, values, AFFINE, 'CT', RescaleSlope=[0.5, 1, 2, 3, 4, 5], RescaleIntercept=-24)
    for path in folder.iterdir():
        file = pydicom.dcmread(path)
        for element, value in {'PixelPaddingValue': padding, **further}.items():
            file.add_new(element, 'SS' if value < 0 else 'US', value)
        if implicit:
            file.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
        file.save_as(path, implicit_vr=implicit, little_endian=True)
    volume = read_volume(folder)
    padded = values <= -1900 if further else values == -2000
    np.testing.assert_array_equal(np.isnan(volume.values), padded)
    np.testing.assert_allclose(volume.values[~padded], (values * [0.5, 1, 2, 3, 4, 5] - 24)[~padded])
    assert find_window('minmax', volume).low > (-900 * 5 - 25 if further else -1950 * 5 - 25)


def test_files_that_are_no_image_are_left_out(tmp_path):
    folder = write_series(tmp_path / 'mr', VALUES, AFFINE, StudyDate='20240102', StudyTime='100000', StudyID='1')
    report = pydicom.dcmread(next(folder.iterdir()))
    for element in ('Rows', 'Columns', 'PixelData'):
        delattr(report, element)
    report.Modality, report.SeriesInstanceUID = 'SR', '1.2.3'
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = '1.2.840.10008.5.1.4.1.1.88.11'
    report.save_as(folder / 'report.dcm')
    directory = FileSet()
    directory.add(next(folder.glob('IM*')))
    directory.write(tmp_path / 'media')
    (tmp_path / 'media/DICOMDIR').rename(folder / 'DICOMDIR')
    np.testing.assert_array_equal(read_volume(folder).values, VALUES)


def test_values_that_are_not_valid_are_not_quoted(tmp_path):
    folder = write_series(tmp_path, VALUES, AFFINE)
    path = next(folder.iterdir())
    content = path.read_bytes()
    assert content.count(b'0.9\\0.7 ') == 1  # the spacing of pixels
    path.write_bytes(content.replace(b'0.9\\0.7 ', b'0.9\\x.7 '))
    with pytest.raises(DataError, match='holds a value that is not valid') as error:
        read_volume(folder)
    assert 'x.7' not in str(error.value)


def test_damaged_files(tmp_path):
    folder = write_series(tmp_path, VALUES, AFFINE)
    path = next(folder.iterdir())
    content = path.read_bytes()
    path.write_bytes(content[:-60])
    with pytest.raises(DataError, match='Cannot decode the voxels'):
        read_volume(folder)
    for length in (0, 100, 300, 700, content.index(b'\x28\x00\x10\x00')):  # the last ends before its rows
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match='is empty or damaged|Cannot read the DICOM header'):
            read_volume(folder)
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(DataError, match='holds no DICOM image'):
        read_volume(folder)
