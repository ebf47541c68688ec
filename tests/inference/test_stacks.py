"""Stacks of more than two pictures: by methods that take them all, and pair by pair in an order."""

import cv2
import numpy as np
import pytest
import tifffile
import torch

from vlfusion import Fuser, fuse_stacks
from vlfusion.cli import main
from vlfusion.errors import ConfigError, DataError
from vlfusion.imaging.images import luminance, read_image, write_image
from vlfusion.inference.stacks import ORDERS, fold

pytest.importorskip('vlfusion_classical', reason='pip install --editable plugins/classical')

SIZE = (40, 48)


@pytest.fixture
def planes(tmp_path):
    """Five colour pictures of one scene, each sharp in a fifth of its columns."""
    generator = np.random.default_rng(0)
    sharp = generator.integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    smooth = cv2.GaussianBlur(sharp, (0, 0), 3)
    paths = []
    for number in range(5):
        inside = (np.arange(SIZE[1]) * 5 // SIZE[1] == number)[None, :, None]
        paths.append(tmp_path / f'plane_{number}.png')
        write_image(paths[-1], np.where(inside, sharp, smooth))
    return paths


@pytest.mark.parametrize('model', ['average', 'maximum', 'laplacian-mff', 'focus-measure', 'guided-filter', 'mertens'])
def test_two_pictures_are_a_pair(model, planes):
    fuser = Fuser(model)
    assert fuser.network.fuses_stacks
    np.testing.assert_array_equal(fuser.fuse_stack(planes[:2]).colour, fuser(*planes[:2]).colour)


def test_a_method_that_takes_all_sources_ignores_their_order(planes):
    fuser = Fuser('laplacian-mff')
    fused = fuser.fuse_stack(planes)
    np.testing.assert_array_equal(fused.grey, fuser.fuse_stack(planes[::-1]).grey)
    assert fused.colour.shape == (*SIZE, 3)


def test_sources_in_memory_and_in_files_give_the_same(planes):
    fuser = Fuser('laplacian-mff')
    arrays = [read_image(path)[..., ::-1] for path in planes]
    np.testing.assert_array_equal(fuser.fuse_stack(arrays).rgb, fuser.fuse_stack(planes).rgb)


def test_tiles_change_nothing(planes):
    fused = [Fuser('focus-measure', tiles=tiles, tile_size=size).fuse_stack(planes).grey
             for tiles, size in (('whole', None), ('exact', 30))]
    np.testing.assert_array_equal(*fused)


def test_each_plane_is_read_once_at_a_time(planes, monkeypatch):
    read = []
    monkeypatch.setattr('vlfusion.inference.stacks.read_image',
                        lambda path, *rest, **named: read.append(path) or read_image(path, *rest, **named))
    progress = []
    Fuser('average', chroma='visible').fuse_stack(planes, progress=lambda *done: progress.append(done))
    assert read == [planes[0], *planes, planes[-1]]  # for the size, the luminance, and the colour of the last
    assert progress == [(number, 5) for number in range(1, 6)]


def test_pairs_are_fused_in_an_order(planes):
    """Without colours and rounding between, folding is calling the method on pairs by hand."""
    fuser = Fuser('cross-bilateral', protocol='plain')
    assert not fuser.network.fuses_stacks
    sources = [torch.from_numpy(luminance(read_image(path)))[None, None] for path in planes]
    by_order = {}
    for order in ORDERS:
        expected = fold(sources, fuser.model, order)[0, 0].numpy() * 255
        by_order[order] = fuser.fuse_stack(planes, order=order).grey
        assert np.abs(by_order[order] - expected).max() < 0.6
    assert (by_order['tree'] != by_order['chain']).any()
    np.testing.assert_array_equal(by_order['tree'], fuser.fuse_stack(planes).grey)


def test_colour_comes_from_all_sources(tmp_path):
    paths = [tmp_path / f'{number}.png' for number in range(3)]
    grey = np.full((8, 8, 3), 100, np.uint8)
    for path, colour in zip(paths, ((200, 100, 100), (100, 100, 100), (100, 100, 200)), strict=True):
        write_image(path, np.where(np.arange(8)[None, :, None] < 4, grey, np.uint8(colour)))
    weighted = Fuser('average', chroma='weighted').fuse_stack(paths).colour
    assert (weighted[:, :4] == 100).all()
    blue, green, red = weighted[0, 6].astype(int)
    assert min(blue, red) > green + 20
    visible = Fuser('average', chroma='visible').fuse_stack(paths).colour[0, 6].astype(int)
    assert visible[2] > visible[0] + 50


def test_stacks_in_folders(planes, tmp_path, capsys):
    for stack, chosen in (('b', planes[:3]), ('a', planes[2:])):
        for number, path in enumerate(chosen):
            (tmp_path / f'stacks/{stack}').mkdir(parents=True, exist_ok=True)
            path.rename(path) and (tmp_path / f'stacks/{stack}/{number}.png').write_bytes(path.read_bytes())
    out = tmp_path / 'out'
    done = fuse_stacks('laplacian-mff', [tmp_path / 'stacks'], out)
    assert done.written == {name: out / f'{name}.png' for name in 'ab'}
    np.testing.assert_array_equal(read_image(out / 'b.png'), Fuser('laplacian-mff').fuse_stack(planes[:3]).colour)
    (tmp_path / 'stacks/a/1.png').write_bytes(b'no image')
    again = fuse_stacks('laplacian-mff', [tmp_path / 'stacks'], tmp_path / 'other')
    assert list(again.written) == ['b'] and '1.png' in str(again.failed['a'])
    assert not fuse_stacks('laplacian-mff', [tmp_path / 'stacks'], out, skip_existing=True, names=['b']).written


def test_one_stack_of_several_folders_goes_into_a_folder(planes, tmp_path):
    for number, path in enumerate(planes[:3]):
        write_image(tmp_path / f'n{number}/a.png', read_image(path))
    for number, sources in enumerate(([f'n{place}' for place in range(3)],
                                      [f'n{place}/{{name}}.png' for place in range(3)])):
        out = tmp_path / f'out{number}'
        assert fuse_stacks('average', [tmp_path / source for source in sources], out, names=['a']).written == {
            'a': out / 'a.png'}
    with pytest.raises(DataError, match='with 16 bits'):
        fuse_stacks('average', planes, tmp_path / 'deep.jpg', depth=16)


@pytest.mark.parametrize('model', ['laplacian-mff', 'cross-bilateral'])
def test_pages_of_a_file_equal_their_pictures(planes, tmp_path, capsys, model):
    pages = np.stack([read_image(path)[..., ::-1] for path in planes])
    (tmp_path / 'z').mkdir()
    tifffile.imwrite(tmp_path / 'z/planes.tif', pages, photometric='rgb')
    assert main(['fuse', model, f'{tmp_path}/z/planes.tif', '-o', f'{tmp_path}/all.tif']) == 0
    expected = Fuser(model).fuse_stack(planes).colour
    np.testing.assert_array_equal(read_image(tmp_path / 'all.tif'), expected)
    np.testing.assert_array_equal(Fuser(model).fuse_stack(tmp_path / 'z/planes.tif').colour, expected)
    done = fuse_stacks(model, [tmp_path / 'z'], tmp_path / 'out', suffix='tif')
    assert done.written == {'planes': tmp_path / 'out/planes.tif'}
    tifffile.imwrite(tmp_path / 'z/other.tif', pages, photometric='rgb')
    files = [f'{tmp_path}/z/{name}.tif' for name in ('planes', 'other')]
    assert main(['fuse', model, *files, '-o', f'{tmp_path}/x.tif']) == 2
    assert 'planes.tif holds 5 pages' in capsys.readouterr().err
    assert main(['fuse', model, files[0], '-o', files[0]]) == 2
    assert 'planes.tif is an input' in capsys.readouterr().err


def test_a_stack_of_geotiffs_keeps_its_place(planes, tmp_path):
    rasterio = pytest.importorskip('rasterio', reason="pip install 'vlfusion[geo]'")
    transform = rasterio.Affine(10, 0, 500_000, 0, -10, 4_600_000)
    paths = [tmp_path / f'{number}.tif' for number in range(3)]
    for path, plane in zip(paths, planes, strict=False):
        with rasterio.open(path, 'w', driver='GTiff', dtype='uint8', count=1, height=SIZE[0], width=SIZE[1],
                           crs='EPSG:32633', transform=transform) as file:
            file.write(read_image(plane)[..., 1], 1)
    fuse_stacks('average', paths, tmp_path / 'fused.tif')
    fuse_stacks('average', paths, f'{tmp_path}/folder/')
    for fused in ('fused.tif', 'folder/0.tif'):
        with rasterio.open(tmp_path / fused) as file:
            assert file.crs == 'EPSG:32633' and file.transform == transform


def test_the_command_line(planes, tmp_path, capsys):
    paths = list(map(str, planes))
    assert main(['fuse', 'laplacian-mff', *paths, '-o', str(tmp_path / 'all.tif')]) == 0
    np.testing.assert_array_equal(read_image(tmp_path / 'all.tif'), Fuser('laplacian-mff').fuse_stack(paths).colour)
    assert f'Wrote 1 fused image to {tmp_path / "all.tif"}.' in capsys.readouterr().out
    assert main(['fuse', 'laplacian-mff', *paths[:2], '-o', str(tmp_path / 'pair.png'), '--order', 'tree']) == 2
    assert '--order has no effect on pictures.' in capsys.readouterr().err
    assert main(['fuse', 'laplacian-mff', *paths, '-o', str(tmp_path / 'x.png'), '--range-b', 'minmax']) == 2
    assert '--range-b has no effect on stacks.' in capsys.readouterr().err
    assert main(['fuse', 'laplacian-mff', *paths, '-o', paths[2]]) == 2
    assert 'plane_2.png is an input' in capsys.readouterr().err


def test_wrong_stacks(planes, tmp_path):
    fuser = Fuser('laplacian-mff')
    for one in (planes[:1], planes[0]):
        with pytest.raises(DataError, match='two pictures or more, but there is one'):
            fuser.fuse_stack(one)
    write_image(planes[3], np.zeros((40, 50), np.uint8))
    with pytest.raises(DataError, match=r'differ in size: .*plane_0\.png is 48x40, .*plane_3\.png is 50x40'):
        fuser.fuse_stack(planes)
    with pytest.raises(ConfigError, match="takes all sources of a stack at once, so the order 'tree' has no effect"):
        fuser.fuse_stack(planes[:3], order='tree')
    with pytest.raises(ConfigError, match="Unknown order 'threes'"):
        Fuser('cross-bilateral').fuse_stack(planes[:3], order='threes')
    with pytest.raises(ConfigError, match='reads no text'):
        fuser.fuse_stack(planes[:3], instruction='make it brighter')


@pytest.mark.slow
def test_a_model_that_reads_text_describes_every_pair(planes, tmp_path):
    pytest.importorskip('vlfusion_film_weights', reason='pip install --editable plugins/film_weights')
    fuser = Fuser('film-mff', store=tmp_path / 'store')
    by_order = [fuser.fuse_stack(planes[:3], order=order) for order in ('tree', 'chain', 'reverse')]
    np.testing.assert_array_equal(by_order[0].grey, by_order[1].grey)  # one order for three sources
    assert (by_order[0].grey != by_order[2].grey).any()
    assert by_order[0].grey.min() == 0 and by_order[0].grey.max() == 255  # the protocol stretches the result
