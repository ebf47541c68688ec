"""NIfTI files by nibabel: geometry to the bit, and clear reasons for what is refused."""

import nibabel
import numpy as np
import pytest
from volumetric import PATIENT, grid, ramp, rotation, write_nifti

from vlfusion.errors import DataError
from vlfusion.volumes import nifti
from vlfusion.volumes.reading import is_volume, read_volume

SHAPE = 12, 10, 8
AFFINE = grid(SHAPE, (0.9, -0.9, 3.3), rotation(20, (1, 2, 3)), (-12.3456, 7.891, 45.6789))


def test_values_and_geometry(tmp_path):
    values = ramp(SHAPE, AFFINE)
    volume = read_volume(write_nifti(tmp_path / 'a.nii.gz', values, AFFINE))
    np.testing.assert_array_equal(volume.values, values)
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-5)
    assert str(volume) == 'volume, 12x10x8 voxels of 0.9x0.9x3.3 mm' and volume.remark == ''


def test_a_scale_in_the_header(tmp_path):
    image = nibabel.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), AFFINE)
    image.header.set_slope_inter(0.5, -3)
    image.to_filename(tmp_path / 'a.nii')
    np.testing.assert_allclose(read_volume(tmp_path / 'a.nii').values, nibabel.load(tmp_path / 'a.nii').get_fdata())


def test_the_sform_wins_as_in_nibabel(tmp_path):
    moved = AFFINE.copy()
    moved[:3, 3] += 10
    image = nibabel.Nifti1Image(np.ones(SHAPE, np.uint8), None)
    image.set_qform(AFFINE, 1)
    image.set_sform(moved, 2)
    image.to_filename(tmp_path / 'a.nii')
    np.testing.assert_allclose(read_volume(tmp_path / 'a.nii').affine, moved, atol=1e-5)


def test_geometry_is_written_to_the_bit_and_nothing_else(tmp_path):
    like = read_volume(write_nifti(tmp_path / 'a.nii', ramp(SHAPE, AFFINE), AFFINE, descrip=PATIENT.encode(),
                                   db_name=PATIENT.encode(), qform_code=1, sform_code=2))
    nifti.write_nifti(tmp_path / 'out.nii.gz', np.ones(SHAPE, np.uint8), like.affine, like=like,
                      description='é' + 'x' * 99)
    before, after = nibabel.load(tmp_path / 'a.nii').header, nibabel.load(tmp_path / 'out.nii.gz').header
    for key in ('srow_x', 'srow_y', 'srow_z', 'quatern_b', 'quatern_c', 'quatern_d', 'qoffset_x', 'qform_code',
                'sform_code', 'pixdim'):
        np.testing.assert_array_equal(before[key], after[key], err_msg=key)
    np.testing.assert_array_equal(nibabel.load(tmp_path / 'out.nii.gz').affine, nibabel.load(tmp_path / 'a.nii').affine)
    assert after['descrip'].item() == b'?' + b'x' * 78
    assert b'Okonkwo' not in nibabel.load(tmp_path / 'out.nii.gz').to_bytes()


def test_a_tilted_grid_is_written(tmp_path):
    tilted = AFFINE.copy()
    tilted[:3, 2] += 0.3 * AFFINE[:3, 1]
    nifti.write_nifti(tmp_path / 'out.nii', np.ones(SHAPE, np.uint8), tilted)
    written = nibabel.load(tmp_path / 'out.nii')
    np.testing.assert_allclose(written.affine, tilted, atol=1e-5)
    assert (written.header['sform_code'], written.header['qform_code']) == (1, 0)


def test_colours(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
    nifti.write_nifti(tmp_path / 'rgb.nii', colours, AFFINE)
    read = np.asarray(nibabel.load(tmp_path / 'rgb.nii').dataobj)
    np.testing.assert_array_equal(np.stack([read['R'], read['G'], read['B']], axis=-1), colours)
    np.testing.assert_allclose(nibabel.load(tmp_path / 'rgb.nii').affine, AFFINE, atol=1e-5)
    with pytest.raises(DataError, match='holds colours in its voxels'):
        read_volume(tmp_path / 'rgb.nii')


@pytest.mark.parametrize(('shape', 'problem'), [
    ((4, 5, 6, 7), r'holds 7 volumes \(its shape is 4x5x6x7\), such as a time series'),
    ((4, 5), 'holds a picture of 4x5')])
def test_other_dimensions_are_refused(tmp_path, shape, problem):
    with pytest.raises(DataError, match=problem):
        read_volume(write_nifti(tmp_path / 'a.nii', np.ones(shape, np.float32), np.eye(4)))


def test_a_series_of_one_volume_is_a_volume(tmp_path):
    path = write_nifti(tmp_path / 'a.nii', np.ones((4, 5, 6, 1), np.float32), np.eye(4))
    assert read_volume(path).shape == (4, 5, 6)


def test_complex_numbers_are_refused(tmp_path):
    with pytest.raises(DataError, match='complex64 in its voxels'):
        read_volume(write_nifti(tmp_path / 'a.nii', np.ones((4, 5, 6), np.complex64), np.eye(4)))


def test_damage_and_absence(tmp_path):
    path = write_nifti(tmp_path / 'a.nii.gz', np.random.default_rng(0).normal(size=(40, 40, 40)), np.eye(4))
    path.write_bytes(path.read_bytes()[:20000])
    with pytest.raises(DataError, match='truncated or damaged'):
        read_volume(path)
    path.write_bytes(b'no volume at all')
    with pytest.raises(DataError, match='Cannot read .* as a NIfTI file'):
        read_volume(path)
    with pytest.raises(DataError, match='No such file'):
        read_volume(tmp_path / 'none.nii')
    assert not is_volume(tmp_path / 'none.nii')


def test_a_matrix_without_inverse_and_a_volume_without_values(tmp_path):
    image = nibabel.Nifti1Image(np.ones(SHAPE, np.float32), np.eye(4))
    image.header['sform_code'], image.header['srow_x'] = 1, 0
    image.to_filename(tmp_path / 'a.nii')
    raw = bytearray((tmp_path / 'a.nii').read_bytes())
    raw[280:296] = bytes(16)  # srow_x, which nibabel fills when it writes
    (tmp_path / 'a.nii').write_bytes(raw)
    with pytest.raises(DataError, match='its matrix has no inverse'):
        read_volume(tmp_path / 'a.nii')
    with pytest.raises(DataError, match='no voxel with a value'):
        read_volume(write_nifti(tmp_path / 'b.nii', np.full(SHAPE, np.nan, np.float32), np.eye(4)))


def test_voxels_smaller_than_a_micrometre(tmp_path):
    affine = grid(SHAPE, (5e-5, 5e-5, 5e-5))
    np.testing.assert_allclose(read_volume(write_nifti(tmp_path / 'a.nii', np.ones(SHAPE, np.uint8), affine)).affine,
                               affine, rtol=1e-6)


def test_micrometres_are_converted_and_written_as_they_were(tmp_path):
    path = write_nifti(tmp_path / 'a.nii', np.ones(SHAPE, np.uint8), AFFINE, xyzt_units=3)
    volume = read_volume(path)
    np.testing.assert_allclose(volume.affine[:3], AFFINE[:3] / 1000, atol=1e-8)
    nifti.write_nifti(tmp_path / 'out.nii', np.ones(SHAPE, np.uint8), volume.affine, like=volume)
    header = nibabel.load(tmp_path / 'out.nii').header
    assert header.get_xyzt_units()[0] == 'micron'
    np.testing.assert_array_equal(nibabel.load(tmp_path / 'out.nii').affine, nibabel.load(path).affine)


def test_a_file_by_another_name(tmp_path):
    path = write_nifti(tmp_path / 'a.nii', np.ones(SHAPE, np.uint8), AFFINE).rename(tmp_path / 'volume')
    assert is_volume(path)
    with pytest.raises(DataError, match='must end in .nii'):
        read_volume(path)


def test_a_header_without_a_place_is_told(tmp_path):
    image = nibabel.Nifti1Image(np.ones(SHAPE, np.float32), None)
    image.header.set_zooms((1, 1, 2))
    image.to_filename(tmp_path / 'a.nii')
    assert 'no place in space' in read_volume(tmp_path / 'a.nii').remark
