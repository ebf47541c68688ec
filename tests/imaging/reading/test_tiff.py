"""TIFF files of several bands and pages are read by choice."""

from importlib.util import find_spec

import cv2
import numpy as np
import pytest
import tifffile

from vlfusion.console.notes import new_run
from vlfusion.errors import DataError
from vlfusion.imaging.images import read_image
from vlfusion.imaging.reading.rule import Reading

RANDOM = np.random.default_rng(0)
COLOUR = RANDOM.integers(0, 256, (12, 16, 3), np.uint8)
BANDS = RANDOM.integers(0, 65536, (12, 16, 6), np.uint16)


@pytest.fixture(autouse=True)
def said(caplog):
    new_run()
    return lambda: [record.getMessage() for record in caplog.records if record.name == 'vlfusion']


@pytest.mark.parametrize('count', [2, 3, 4, 5, 6])
@pytest.mark.parametrize('layout', ['contig', 'separate'])
@pytest.mark.parametrize('compression', [None, 'zlib'])
def test_bands_need_a_choice(tmp_path, count, layout, compression):
    image, path = BANDS[..., :count], tmp_path / 'a.tif'
    tifffile.imwrite(path, image if layout == 'contig' else np.moveaxis(image, -1, 0), planarconfig=layout,
                     photometric='minisblack', compression=compression)
    with pytest.raises(DataError, match=rf'has {count} bands(?s:.)*--bands-a or --bands-b.*bands_a') as error:
        read_image(path)
    assert 'counted from 1' in error.value.remedy
    assert np.array_equal(read_image(path, Reading.of(bands=2)), image[..., 1])
    if count > 2:
        assert np.array_equal(read_image(path, Reading.of(bands=(3, 2, 1))), image[..., :3])
    with pytest.raises(DataError, match=f'no band 7; it has {count}'):
        read_image(path, Reading.of(bands=7))


@pytest.mark.skipif(find_spec('imagecodecs') is not None, reason='imagecodecs is installed')
def test_a_compression_that_takes_another_package_names_it(tmp_path):
    tifffile.imwrite(tmp_path / 'a.tif', BANDS, photometric='minisblack', planarconfig='contig')
    data = bytearray((tmp_path / 'a.tif').read_bytes())
    place = tifffile.TiffFile(tmp_path / 'a.tif').pages[0].tags['Compression'].valueoffset
    data[place:place + 2] = (34887).to_bytes(2, 'little')  # LERC
    (tmp_path / 'a.tif').write_bytes(data)
    with pytest.raises(DataError) as error:
        read_image(tmp_path / 'a.tif', Reading.of(bands=1))
    assert 'LERC' in error.value.problem and 'imagecodecs' in error.value.problem and 'pip' in error.value.remedy


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize('layout', ['contig', 'separate'])
def test_colour_is_read_in_either_layout(tmp_path, dtype, layout):
    image = BANDS[..., :3].astype(dtype)
    tifffile.imwrite(tmp_path / 'a.tif', image if layout == 'contig' else np.moveaxis(image, -1, 0),
                     planarconfig=layout, photometric='rgb')
    assert np.array_equal(read_image(tmp_path / 'a.tif'), image[..., ::-1])


@pytest.mark.parametrize(('extra', 'alpha'), [('unassalpha', True), ('assocalpha', True), ('unspecified', False)])
def test_a_fourth_band_is_alpha_if_the_file_says_so(tmp_path, extra, alpha):
    image = BANDS[..., :4]
    tifffile.imwrite(tmp_path / 'a.tif', image, photometric='rgb', extrasamples=[extra])
    if alpha:
        assert np.array_equal(read_image(tmp_path / 'a.tif'), image[..., 2::-1])
    else:
        with pytest.raises(DataError, match='has 4 bands'):
            read_image(tmp_path / 'a.tif')
        assert np.array_equal(read_image(tmp_path / 'a.tif', Reading.of(bands='4')), image[..., 3])
        assert np.array_equal(read_image(tmp_path / 'a.tif', Reading.of(bands='1,2,3')), image[..., 2::-1])


def test_alpha_of_a_writer_that_does_not_say_so_is_dropped(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.tif'), np.dstack([COLOUR, np.full((12, 16), 255, np.uint8)]))
    assert np.array_equal(read_image(tmp_path / 'a.tif'), COLOUR)


def test_grey_with_alpha_is_grey(tmp_path):
    tifffile.imwrite(tmp_path / 'a.tif', BANDS[..., :2], photometric='minisblack', extrasamples=['unassalpha'])
    assert np.array_equal(read_image(tmp_path / 'a.tif'), BANDS[..., 0])


@pytest.mark.parametrize('bigtiff', [False, True])
@pytest.mark.parametrize('byteorder', ['<', '>'])
@pytest.mark.parametrize('compression', [None, 'zlib'])
def test_a_page_of_several(tmp_path, bigtiff, byteorder, compression):
    pages = RANDOM.integers(0, 65536, (3, 12, 16), np.uint16)
    tifffile.imwrite(tmp_path / 'a.tif', pages, photometric='minisblack', bigtiff=bigtiff, byteorder=byteorder,
                     compression=compression)
    with pytest.raises(DataError, match='holds 3 pages'):
        read_image(tmp_path / 'a.tif')
    for number in (1, 2, 3):
        assert np.array_equal(read_image(tmp_path / 'a.tif', Reading.of(page=number)), pages[number - 1])
    with pytest.raises(DataError, match='has no page 4'):
        read_image(tmp_path / 'a.tif', Reading.of(page=4))


def test_smaller_copies_and_masks_are_no_pages(tmp_path):
    with tifffile.TiffWriter(tmp_path / 'a.tif') as file:
        file.write(COLOUR[::2, ::2], photometric='rgb', subfiletype=1)
        file.write(COLOUR, photometric='rgb')
        file.write(np.zeros((12, 16), bool), photometric='mask', subfiletype=4)
    assert np.array_equal(read_image(tmp_path / 'a.tif'), COLOUR[..., ::-1])


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('image', [COLOUR, BANDS[..., :3], BANDS[..., 0], COLOUR[..., 0]],
                         ids=['colour8', 'colour16', 'grey16', 'grey8'])
@pytest.mark.parametrize('byteorder', ['<', '>'])
def test_orientation(tmp_path, orientation, image, byteorder):
    tifffile.imwrite(tmp_path / 'a.tif', image, photometric='rgb' if image.ndim == 3 else 'minisblack',
                     byteorder=byteorder, extratags=[(274, 'H', 1, orientation, True)])
    turned = {1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: lambda a: a.swapaxes(0, 1),
              6: lambda a: np.rot90(a, 3), 7: lambda a: np.rot90(a, 2).swapaxes(0, 1), 8: np.rot90}[orientation](image)
    assert np.array_equal(read_image(tmp_path / 'a.tif'), turned[..., ::-1] if image.ndim == 3 else turned)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_negatives_are_turned_positive(tmp_path, dtype):
    image = BANDS[..., 0].astype(dtype)
    tifffile.imwrite(tmp_path / 'a.tif', image, photometric='miniswhite')
    assert np.array_equal(read_image(tmp_path / 'a.tif'), np.iinfo(dtype).max - image)


@pytest.mark.parametrize('dtype', [np.int8, np.int16, np.int32, np.uint32, np.float16, np.float32, np.float64])
def test_other_numbers_need_a_range(tmp_path, dtype):
    image = np.linspace(-20 if np.dtype(dtype).kind != 'u' else 0, 100, 12 * 16).reshape(12, 16).astype(dtype)
    tifffile.imwrite(tmp_path / 'a.tif', image, photometric='minisblack')
    with pytest.raises(DataError, match=rf'{np.dtype(dtype)} samples, from (-20|0) to 100(?s:.)*--range-a.*range_a'):
        read_image(tmp_path / 'a.tif')
    read = read_image(tmp_path / 'a.tif', Reading.of((0, 100)))
    expected = (image.astype(float) / 100).clip(0, 1) * 65535
    assert read.dtype == np.uint16 and np.abs(read - expected).max() <= 1


def test_holes_are_black_and_said(tmp_path, said):
    image = np.linspace(10, 35, 12 * 16, dtype=np.float32).reshape(12, 16)
    image[3, 4], image[5, 6], image[7, 8] = np.nan, -np.inf, -9999
    tifffile.imwrite(tmp_path / 'a.tif', image, photometric='minisblack',
                     extratags=[(42113, 's', 0, '-9999', True)])
    read = read_image(tmp_path / 'a.tif', Reading.of('minmax'))
    assert read[3, 4] == read[5, 6] == read[7, 8] == 0 and read.max() == 65535 and read[0, 1] > 0
    assert len(said()) == 1 and '3 pixels without a value' in said()[0]


def test_a_georeference_is_said_of_what_is_written(tmp_path, said, capfd):
    tags = [(33550, 'd', 3, (10., 10., 0.), True), (33922, 'd', 6, (0.,) * 6, True)]
    tifffile.imwrite(tmp_path / 'a.tif', COLOUR, photometric='rgb', extratags=tags)
    read_image(tmp_path / 'a.tif')
    assert not said()
    read_image(tmp_path / 'a.tif', for_output=True)
    assert len(said()) == 1 and 'georeferenced' in said()[0] and capfd.readouterr().err == ''


def test_raw_files_of_cameras_are_named(tmp_path):
    tifffile.imwrite(tmp_path / 'a.dng', COLOUR, photometric='rgb', extratags=[(50706, 'B', 4, (1, 4, 0, 0), True)])
    with pytest.raises(DataError, match='camera raw file'):
        read_image(tmp_path / 'a.dng')


@pytest.mark.parametrize('kept', [5, 30, 100])
def test_damaged_files_are_refused_in_silence(tmp_path, kept, capfd, caplog):
    tifffile.imwrite(tmp_path / 'a.tif', BANDS, photometric='minisblack')
    (tmp_path / 'a.tif').write_bytes((tmp_path / 'a.tif').read_bytes()[:kept])
    with pytest.raises(DataError, match='Cannot decode'):
        read_image(tmp_path / 'a.tif')
    assert capfd.readouterr().err == '' and not caplog.records


@pytest.mark.parametrize('image', [COLOUR, COLOUR[..., 0], BANDS[..., 0]], ids=['colour', 'grey', '16 bits'])
@pytest.mark.parametrize('layout', [dict(tile=(16, 16)), dict(compression='lzma')], ids=str)
def test_what_opencv_does_not_decode_is_read_whole_or_not_at_all(tmp_path, image, layout):
    image, path = np.tile(image, (3, 3, 1)[:image.ndim]), tmp_path / 'a.tif'
    tifffile.imwrite(path, image, photometric='rgb' if image.ndim == 3 else 'minisblack', **layout)
    assert np.array_equal(read_image(path), image[..., ::-1] if image.ndim == 3 else image)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match='Cannot decode'):
        read_image(path)
