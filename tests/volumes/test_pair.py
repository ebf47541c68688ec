"""Two volumes on one grid: world coordinates, upright pictures, and the way back."""

import itertools

import numpy as np
import pytest
from volumetric import grid, ramp, rotation, write_nifti

from vlfusion.errors import ConfigError, DataError
from vlfusion.volumes.pair import AXES, VolumePair, acquisition_axis, resample
from vlfusion.volumes.reading import read_volume

SHAPE = 12, 10, 8
PLAIN = grid(SHAPE, (2, 2, 2))


def pair(tmp_path, affine_a=PLAIN, affine_b=PLAIN, shape_b=SHAPE, **options):
    """Two volumes whose values depend on the place alone."""
    return VolumePair(read_volume(write_nifti(tmp_path / 'a.nii', ramp(SHAPE, affine_a), affine_a)),
                      read_volume(write_nifti(tmp_path / 'b.nii', ramp(shape_b, affine_b), affine_b)), **options)


#: Directions of a grid: turned, and tilted as by a gantry.
TURNS = {'oblique': rotation(33, (2, -1, 3))[:, [2, 0, 1]], 'tilted': np.array([[1, 0, 0], [0, 1, 0.4], [0, 0, 1]])}


@pytest.mark.parametrize('turn', TURNS)
@pytest.mark.parametrize('onto', ['a', 'b'])
@pytest.mark.parametrize('axis', AXES)
def test_equal_places_have_equal_levels(tmp_path, axis, onto, turn):
    moved = grid((30, 28, 26), (1.5, -1.1, 1.7), TURNS[turn])
    both = pair(tmp_path, affine_b=moved, shape_b=(30, 28, 26), axis=axis, onto=onto, window_a='500,400',
                window_b='500,400')
    assert both.axis == axis and both.coverage > 0.1
    other = both.volumes[onto == 'a']
    compared = 0
    for index in range(len(both)):
        picture_a, picture_b = map(np.int64, both.pictures(index))
        rows, columns = np.indices(picture_a.shape)
        points = np.stack([columns, rows, np.full_like(rows, index), np.ones_like(rows)], axis=-1)
        place = (points @ both.affine.T @ np.linalg.inv(other.affine).T)[..., :3]
        within = ((place >= 0) & (place <= np.array(other.shape) - 1)).all(axis=-1)  # a voxel reaches further by half
        assert np.abs(picture_a - picture_b)[within].max(initial=0) <= 1
        outside = ((place < -0.6) | (place > np.array(other.shape) - 0.4)).any(axis=-1)
        assert ((picture_b if onto == 'a' else picture_a)[outside] == 0).all()
        assert not (both.inside_b(index) & outside).any() or onto == 'b'
        compared += within.sum()
    assert compared > 300


def test_the_same_grid_is_not_interpolated(tmp_path):
    both = pair(tmp_path)
    assert both.coverage == 1
    for index in range(len(both)):
        np.testing.assert_array_equal(*both.pictures(index))


def test_padding_does_not_spread(tmp_path):
    """Half a voxel off: known voxels beside padding keep their values, and padding has none."""
    constant, half = np.full(SHAPE, 7, np.float32), grid(SHAPE, (2, 2, 2), centre=(1, 0, 0))
    constant[:4] = constant[7, 5, 2] = np.nan
    volume = read_volume(write_nifti(tmp_path / 'padded.nii', constant, half))
    values = resample(volume, read_volume(write_nifti(tmp_path / 'grid.nii', ramp(SHAPE, PLAIN), PLAIN)))
    assert np.isnan(values[:4]).all()  # the first voxel is half outside, and lies at the border of the volume
    np.testing.assert_allclose(values[4:], 7, rtol=1e-6)
    quarter = grid(SHAPE, (2, 2, 2), centre=(0.5, 0, 0))
    steep = ramp(SHAPE, quarter)
    steep[7, 5, 2] = np.nan
    steep = resample(read_volume(write_nifti(tmp_path / 'steep.nii', steep, quarter)),
                     read_volume(tmp_path / 'grid.nii'))
    assert np.isnan(steep[7, 5, 2]) and np.isnan(steep).sum() == 1
    expected = ramp(SHAPE, PLAIN)
    away = np.ones(SHAPE, bool)
    away[0] = away[7:9, 5, 2] = False
    np.testing.assert_allclose(steep[away], expected[away], rtol=1e-5)
    assert steep[8, 5, 2] == pytest.approx(expected[8, 5, 2] + 3 * 0.5)  # the value of its own voxel, 0.5 mm away


def test_pictures_are_upright_in_every_storage_order(tmp_path):
    """The patient's front, left and top are bright, one after the other."""
    for order, flips in itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)):
        affine = grid(SHAPE, (2, 2, 2), np.eye(3)[:, order] * flips)
        for axis, direction, ends in (('axial', (0, 1, 0), (0, -1)), ('coronal', (0, 0, 1), (0, -1)),
                                      ('sagittal', (0, 0, 1), (0, -1))):
            path = write_nifti(tmp_path / 'a.nii', ramp(SHAPE, affine, direction), affine)
            picture = VolumePair(read_volume(path), read_volume(path), axis=axis).pictures(3)[0].astype(int)
            assert (picture[ends[0]] > picture[ends[1]]).all(), (order, flips, axis)
        for axis, direction in (('axial', (-1, 0, 0)), ('coronal', (-1, 0, 0)), ('sagittal', (0, -1, 0))):
            path = write_nifti(tmp_path / 'a.nii', ramp(SHAPE, affine, direction), affine)
            picture = VolumePair(read_volume(path), read_volume(path), axis=axis).pictures(3)[0].astype(int)
            assert (picture[:, -1] > picture[:, 0]).all(), (order, flips, axis)


@pytest.mark.parametrize('axis', AXES)
def test_pictures_go_back_to_their_voxels(tmp_path, axis):
    affine = grid(SHAPE, (1, 2, 3), rotation(20, (1, 1, 1))[:, [1, 2, 0]] * (1, -1, 1))
    both = pair(tmp_path, affine, affine, window_a='minmax', axis=axis)
    back = both.put_together([both.pictures(index)[0] for index in range(len(both))])
    expected = both.window_a.levels(ramp(SHAPE, affine).reshape(SHAPE[0], -1)).reshape(SHAPE)
    np.testing.assert_array_equal(back, expected)
    column, row, number = 2, 1, 3
    voxel = (np.linalg.inv(both.grid.affine) @ both.affine @ (column, row, number, 1))[:3].round().astype(int)
    assert back[tuple(voxel)] == both.pictures(number)[0][row, column]
    coloured = both.put_together([np.dstack([both.pictures(index)[0]] * 3) for index in range(len(both))])
    np.testing.assert_array_equal(coloured, np.stack([back] * 3, axis=-1))


def test_the_axis_of_the_acquisition():
    assert acquisition_axis(grid(SHAPE, (1, 1, 1))) == 'axial'
    assert acquisition_axis(grid(SHAPE, (1, 1, 1), np.eye(3)[:, [1, 2, 0]])) == 'sagittal'
    assert acquisition_axis(grid(SHAPE, (1, 6, 1), rotation(15, (1, 0, 0)))) == 'coronal'


def test_pixels_keep_their_aspect(tmp_path):
    assert pair(tmp_path, grid(SHAPE, (1, 2, 5)), axis='coronal').aspect == pytest.approx(5)


def test_volumes_that_do_not_overlap(tmp_path):
    with pytest.raises(DataError, match='do not overlap'):
        pair(tmp_path, affine_b=grid(SHAPE, (2, 2, 2), centre=(300, 0, 0)))


def test_options_that_are_not_valid(tmp_path):
    with pytest.raises(ConfigError, match='a or b'):
        pair(tmp_path, onto='c')
    with pytest.raises(ConfigError, match='Did you mean axial'):
        pair(tmp_path, axis='axia')
