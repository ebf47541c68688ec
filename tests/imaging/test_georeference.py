"""GeoTIFF files keep their place on earth; rasterio writes and reads them."""

import os

import numpy as np
import pytest

from vlfusion.console.notes import new_run
from vlfusion.errors import DataError
from vlfusion.imaging.georeference import georeference_of_result, is_georeferenced, read_georeference
from vlfusion.imaging.images import read_image, write_image
from vlfusion.imaging.reading.pages import pages_of

rasterio = pytest.importorskip('rasterio', reason="pip install 'vlfusion[geo]'")
TRANSFORM = rasterio.Affine(10, 0.5, 500_000, -0.5, -10, 4_600_000)
IMAGE = np.random.default_rng(0).integers(0, 65536, (30, 40), np.uint16)


def write_geotiff(path, image=IMAGE, transform=TRANSFORM, **more):
    with rasterio.open(path, 'w', driver='GTiff', dtype=image.dtype.name, count=1, height=image.shape[0],
                       width=image.shape[1], crs='EPSG:32633', transform=transform, **more) as file:
        file.write(image, 1)
    return path


@pytest.mark.parametrize('image', [IMAGE, np.dstack([IMAGE, IMAGE // 2, IMAGE // 3]), (IMAGE >> 8).astype(np.uint8)])
def test_transform_crs_and_values_come_back(tmp_path, image):
    reference = read_georeference(write_geotiff(tmp_path / 'a.tif'))
    write_image(tmp_path / 'out.tif', image, reference)
    assert np.array_equal(read_image(tmp_path / 'out.tif'), image)
    with rasterio.open(tmp_path / 'out.tif') as file:
        assert file.crs == 'EPSG:32633' and file.transform == TRANSFORM
        assert np.array_equal(file.read(1), image if image.ndim == 2 else image[..., 2])  # red comes first


def test_files_without_a_georeference_have_none(tmp_path):
    write_image(tmp_path / 'a.tif', IMAGE)
    write_image(tmp_path / 'a.png', IMAGE)
    assert read_georeference(tmp_path / 'a.tif') is None and read_georeference(tmp_path / 'a.png') is None


def test_a_file_that_cannot_be_opened_has_none(tmp_path):
    """The reading of its pixels reports it, for its pair alone."""
    (tmp_path / 'link.tif').symlink_to('absent.tif')
    (tmp_path / 'folder.tif').mkdir()
    (tmp_path / 'empty.tif').touch()
    (tmp_path / 'closed.tif').write_bytes(write_geotiff(tmp_path / 'a.tif').read_bytes())
    (tmp_path / 'closed.tif').chmod(0)
    names = ['absent', 'link', 'folder', 'empty'] + ['closed'] * (not os.access(tmp_path / 'closed.tif', os.R_OK))
    for name in names:
        assert not is_georeferenced(tmp_path / f'{name}.tif')
        assert len(pages_of(tmp_path / f'{name}.tif')) == 1
        with pytest.raises(DataError, match=f'{name}.tif'):
            read_image(tmp_path / f'{name}.tif')
    assert is_georeferenced(tmp_path / 'a.tif')


@pytest.mark.parametrize(('fit', 'size'), [('crop', (20, 31)), ('resize', (60, 80))])
def test_the_centre_stays_where_it_is_under_another_size(tmp_path, fit, size):
    path = write_geotiff(tmp_path / 'a.tif')
    found = georeference_of_result(tmp_path / 'out.tif', [path, path], size, fit, False)
    if fit == 'crop':  # 10 rows and 9 columns less: 5 above, 4 at the left
        assert found.transform * (0, 0) == pytest.approx(TRANSFORM * (4, 5))
    else:
        assert found.transform * (40, 30) == pytest.approx(TRANSFORM * (20, 15))


def test_the_visible_source_gives_its_georeference_unless_it_was_moved(tmp_path, caplog):
    write_image(tmp_path / 'ir.tif', IMAGE)
    paths = [tmp_path / 'ir.tif', write_geotiff(tmp_path / 'vi.tif')]
    assert georeference_of_result(tmp_path / 'out.tif', paths, (30, 40), 'refuse', False).transform == TRANSFORM
    new_run()
    assert georeference_of_result(tmp_path / 'out.tif', paths, (30, 40), 'refuse', True) is None
    assert 'vi.tif is georeferenced, but was moved' in caplog.text


def test_ground_control_points_are_kept_for_the_same_size_only(tmp_path):
    points = [rasterio.control.GroundControlPoint(row, col, 500_000 + 10 * col, 4_600_000 - 10 * row)
              for row, col in ((0, 0), (0, 39), (29, 0))]
    path = write_geotiff(tmp_path / 'a.tif', transform=None)
    with rasterio.open(path, 'r+') as file:
        file.gcps = points, rasterio.crs.CRS.from_epsg(32633)
    found = georeference_of_result(tmp_path / 'out.tif', [path, path], (30, 40), 'refuse', False)
    write_image(tmp_path / 'out.tif', IMAGE, found)
    with rasterio.open(tmp_path / 'out.tif') as file:
        kept, crs = file.gcps
    assert crs == 'EPSG:32633' and [(point.x, point.y) for point in kept] == [(point.x, point.y) for point in points]
    with pytest.raises(DataError, match='ground control points'):
        georeference_of_result(tmp_path / 'out.tif', [path, path], (15, 20), 'resize', False)
