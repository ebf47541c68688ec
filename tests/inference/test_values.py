"""Sixteen bits, georeferences, other sizes and misaligned pairs, from files to files by a classical method."""

import cv2
import numpy as np
import pytest
import tifffile

from vlfusion.cli import main
from vlfusion.console.notes import new_run
from vlfusion.errors import ConfigError, DataError
from vlfusion.imaging.images import read_image, write_image
from vlfusion.imaging.registration.alignment import known_movement
from vlfusion.imaging.registration.warp import warp
from vlfusion.inference.folders import fuse
from vlfusion.inference.fuser import Fuser

RANDOM = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def methods():
    pytest.importorskip('vlfusion_classical', reason='pip install --editable plugins/classical')
    new_run()


@pytest.fixture
def deep(tmp_path):
    """Two grey images whose levels differ in the lower 8 bits only."""
    a, b = (RANDOM.integers(30000, 30200, (24, 32), np.uint16) for _ in range(2))
    write_image(tmp_path / 'a.png', a)
    tifffile.imwrite(tmp_path / 'b.tif', b)
    return tmp_path, a, b


@pytest.mark.parametrize('ending', ['png', 'tif'])
def test_sixteen_bits_go_in_and_out(deep, ending, caplog):
    folder, a, b = deep
    fuse('average', folder / 'a.png', folder / 'b.tif', folder / f'out.{ending}', depth=16, protocol='plain')
    fused = read_image(folder / f'out.{ending}')
    assert fused.dtype == np.uint16 and np.abs(fused - (a.astype(float) + b) / 2).max() <= 1
    assert len(np.unique(fused)) > 100 and 'is written with 8 bits' not in caplog.text


def test_eight_bits_are_the_default_and_name_the_other(deep, caplog):
    folder, _, _ = deep
    fuse('average', folder / 'a.png', folder / 'b.tif', folder / 'out.png', protocol='plain')
    assert read_image(folder / 'out.png').dtype == np.uint8 and '--depth 16' in caplog.text


def test_sixteen_bits_in_a_format_without_them_are_refused_before_the_model_is_loaded(deep):
    folder, a, _ = deep
    with pytest.raises(DataError, match=r'out\.jpg with 16 bits') as error:
        fuse('no.pth', folder / 'a.png', folder / 'b.tif', folder / 'out.jpg', depth=16)
    assert '.png' in error.value.remedy
    with pytest.raises(DataError, match='16 bits'):
        write_image(folder / 'a.webp', a)
    with pytest.raises(ConfigError, match='depth 12'):
        Fuser('average', depth=12)


def test_a_float_source_with_a_declared_range_keeps_its_steps(tmp_path):
    """Temperatures from 20 to 22 degrees, fused with themselves: 20 becomes black and 22 white."""
    degrees = np.linspace(20, 22, 24 * 32, dtype=np.float32).reshape(24, 32)
    tifffile.imwrite(tmp_path / 'a.tif', degrees)
    tifffile.imwrite(tmp_path / 'b.tif', degrees)
    fuse('average', tmp_path / 'a.tif', tmp_path / 'b.tif', tmp_path / 'out.tif', depth=16, protocol='plain',
         reading=dict(range_a='20,22', range_b='minmax'))
    assert np.abs(read_image(tmp_path / 'out.tif') / 65535 * 2 + 20 - degrees).max() < 1e-4


def test_a_geotiff_gives_a_geotiff(tmp_path):
    rasterio = pytest.importorskip('rasterio', reason="pip install 'vlfusion[geo]'")
    transform = rasterio.Affine(10, 0, 500_000, 0, -10, 4_600_000)
    image = RANDOM.integers(0, 65536, (24, 32), np.uint16)
    with rasterio.open(tmp_path / 'a.tif', 'w', driver='GTiff', dtype='uint16', count=1, height=24, width=32,
                       crs='EPSG:32633', transform=transform) as file:
        file.write(image, 1)
    write_image(tmp_path / 'b.png', np.dstack([image] * 3))
    assert main(['fuse', 'average', f'{tmp_path}/a.tif', f'{tmp_path}/b.png', '-o', f'{tmp_path}/out.tif', '--depth',
                 '16', '--protocol', 'plain']) == 0
    with rasterio.open(tmp_path / 'out.tif') as file:
        assert file.crs == 'EPSG:32633' and file.transform == transform and file.dtypes == ('uint16',)
        assert np.abs(file.read(1).astype(int) - image).max() <= 1


def test_results_of_folders_keep_the_georeference(tmp_path, capsys):
    rasterio = pytest.importorskip('rasterio', reason="pip install 'vlfusion[geo]'")
    transform = rasterio.Affine(10, 0, 500_000, 0, -10, 4_600_000)
    (tmp_path / 'vi').mkdir()
    for name in 'pq':
        write_image(tmp_path / f'ir/{name}.png', RANDOM.integers(0, 256, (24, 32), np.uint8))
        write_image(tmp_path / f'vi/{name}.tif', RANDOM.integers(0, 256, (24, 32), np.uint8))
    with rasterio.open(tmp_path / 'vi/p.tif', 'w', driver='GTiff', dtype='uint8', count=1, height=24, width=32,
                       crs='EPSG:32633', transform=transform) as file:
        file.write(RANDOM.integers(0, 256, (24, 32), np.uint8), 1)
    done = fuse('average', tmp_path / 'ir', tmp_path / 'vi', tmp_path / 'out')
    assert done.written == {'p': tmp_path / 'out/p.tif', 'q': tmp_path / 'out/q.png'}
    with rasterio.open(tmp_path / 'out/p.tif') as file:
        assert file.crs == 'EPSG:32633' and file.transform == transform
    assert fuse('average', tmp_path / 'ir', tmp_path / 'vi', tmp_path / 'out', skip_existing=True).kept == done.written
    command = ['fuse', 'average', f'{tmp_path}/ir', f'{tmp_path}/vi', '-o', f'{tmp_path}/chosen', '--suffix']
    assert main([*command, '.jpg']) == 0
    assert sorted(path.name for path in (tmp_path / 'chosen').iterdir()) == ['p.jpg', 'q.jpg']
    for arguments, problem in (([*command, '.xyz'], "no image format has the ending '.xyz'"),
                               ([*command, '.jpg', '--depth', '16'], 'with 16 bits'),
                               (['fuse', 'average', f'{tmp_path}/ir/p.png', f'{tmp_path}/vi/p.tif', '-o',
                                 f'{tmp_path}/x.tif', '--suffix', '.tif'], 'the suffix .tif has no effect')):
        assert main(arguments) == 2 and problem in capsys.readouterr().err


def test_pairs_of_different_size_follow_the_rule(tmp_path, capsys):
    write_image(tmp_path / 'a.png', RANDOM.integers(0, 256, (24, 32), np.uint8))
    write_image(tmp_path / 'b.png', RANDOM.integers(0, 256, (48, 64, 3), np.uint8))
    command = ['fuse', 'average', f'{tmp_path}/a.png', f'{tmp_path}/b.png', '-o', f'{tmp_path}/out.png']
    assert main(command) == 2 and '--fit resize' in capsys.readouterr().err
    assert main([*command, '--fit', 'resize']) == 0
    assert read_image(tmp_path / 'out.png').shape == (48, 64, 3)
    assert main([*command, '--fit', 'crop']) == 0
    assert read_image(tmp_path / 'out.png').shape == (24, 32, 3)


def drawing(size):
    image = np.full(size, 90, np.uint8)
    for _ in range(60):
        centre = int(RANDOM.integers(0, size[1])), int(RANDOM.integers(0, size[0]))
        axes = tuple(int(length) for length in RANDOM.integers(4, 26, 2))
        cv2.ellipse(image, centre, axes, int(RANDOM.integers(0, 180)), 0, 360, int(RANDOM.integers(20, 240)), -1)
    return image


@pytest.fixture
def misaligned(tmp_path):
    pytest.importorskip('SimpleITK', reason="pip install 'vlfusion[registration]'")
    image = drawing((120, 150))
    moved = warp(image, np.linalg.inv(known_movement(image.shape, (5, -3), 3)), image.shape)
    write_image(tmp_path / 'a.png', image)
    write_image(tmp_path / 'b.png', moved)
    return tmp_path, image


def test_a_misaligned_pair_is_registered_and_the_residual_is_said(misaligned, capsys):
    folder, image = misaligned
    command = ['fuse', 'average', f'{folder}/a.png', f'{folder}/b.png', '-o', f'{folder}/out.png',
               '--protocol', 'plain']
    inner = slice(15, -15), slice(15, -15)
    assert main(command) == 0
    before = np.abs(read_image(folder / 'out.png')[inner].astype(float) - image[inner]).mean()
    assert main([*command, '--register', 'rigid']) == 0
    after = np.abs(read_image(folder / 'out.png')[inner].astype(float) - image[inner]).mean()
    assert after < before / 4
    assert 'a: misaligned by' in (out := capsys.readouterr().out) and 'high confidence' in out


def test_a_pair_that_cannot_be_registered_is_refused(tmp_path):
    pytest.importorskip('SimpleITK', reason="pip install 'vlfusion[registration]'")
    write_image(tmp_path / 'a.png', drawing((96, 128)))
    write_image(tmp_path / 'b.png', drawing((96, 128)))
    with pytest.raises(DataError, match='cannot be registered') as error:
        fuse('average', tmp_path / 'a.png', tmp_path / 'b.png', tmp_path / 'out.png', register='rigid')
    assert 'check-pairs' in error.value.remedy and not (tmp_path / 'out.png').exists()


def test_options_for_pairs_are_refused_for_stacks(tmp_path, capsys):
    for name in 'abc':
        write_image(tmp_path / f'{name}.png', drawing((24, 32)))
    files = [f'{tmp_path}/{name}.png' for name in 'abc']
    assert main(['fuse', 'average', *files, '-o', f'{tmp_path}/out.png', '--fit', 'crop']) == 2
    assert '--fit has no effect on stacks' in capsys.readouterr().err
    assert main(['fuse', 'average', *files, '-o', f'{tmp_path}/out.png', '--depth', '16']) == 0
    assert read_image(tmp_path / 'out.png').dtype == np.uint16
