"""Pages of one file, each read without the others."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from vlfusion.data.stacks import find_stacks
from vlfusion.errors import DataError
from vlfusion.imaging.images import read_image
from vlfusion.imaging.reading.pages import Page, pages_of
from vlfusion.imaging.reading.rule import Reading
from vlfusion.imaging.reading.tiff import page_alone, read_tiff

RANDOM = np.random.default_rng(0)
COLOUR = RANDOM.integers(0, 256, (5, 64, 48, 3), np.uint8)
DEEP = RANDOM.integers(0, 65536, (5, 64, 48), np.uint16)


def by_tifffile(pages, **options):
    return lambda path: tifffile.imwrite(path, pages, photometric='rgb' if pages.ndim == 4 else 'minisblack', **options)


def by_pillow(path):
    first, *others = map(Image.fromarray, COLOUR)
    first.save(path, save_all=True, append_images=others, compression='tiff_lzw')


@pytest.mark.parametrize(('write', 'pages'), [
    (by_tifffile(COLOUR), COLOUR), (by_tifffile(COLOUR, compression='zlib', predictor=True), COLOUR),
    (by_tifffile(DEEP, tile=(16, 16)), DEEP), (by_tifffile(DEEP, bigtiff=True, rowsperstrip=7), DEEP),
    (by_tifffile(DEEP, byteorder='>', extratags=[(274, 'H', 1, 1, True)]), DEEP), (by_pillow, COLOUR),
    (by_tifffile(np.moveaxis(COLOUR, -1, 1), planarconfig='separate'), COLOUR), (by_tifffile(DEEP, imagej=True), DEEP),
], ids=['strips', 'zlib', 'tiles', 'bigtiff', 'big-endian', 'lzw', 'planar', 'imagej'])
def test_a_page_is_read_without_the_others(tmp_path, write, pages):
    path = tmp_path / 'a.tif'
    write(path)
    assert pages_of(path) == [Page(path, number) for number in range(1, 6)]
    for page, expected in zip(pages_of(path), pages, strict=True):
        np.testing.assert_array_equal(read_image(page), expected[..., ::-1] if expected.ndim == 3 else expected)
        alone = page_alone(path, page.number)
        assert len(alone) < path.stat().st_size / 4 and read_tiff(alone).header.pages == 1
    with pytest.raises(DataError, match=r'a\.tif \(page 6\) has no page 6'):
        read_image(Page(path, 6))
    with pytest.raises(DataError, match=r'Page 2 was chosen of .*\(page 1\)'):
        read_image(Page(path, 1), Reading.of(page=2))


def test_the_directories_that_are_read_grow_with_the_pages_not_with_their_square(tmp_path, monkeypatch):
    path, read = tmp_path / 'a.tif', []
    by_tifffile(DEEP[np.arange(60) % 5])(path)
    parse = tifffile.TiffPage.__init__
    monkeypatch.setattr(tifffile.TiffPage, '__init__', lambda self, *args, **options: (
        read.append(self), parse(self, *args, **options))[1])
    for number, page in enumerate(pages_of(path)):
        np.testing.assert_array_equal(read_image(page), DEEP[number % 5])
    assert 60 < len(read) < 6 * 60


def test_a_page_with_smaller_copies_before_it(tmp_path):
    with tifffile.TiffWriter(tmp_path / 'a.tif') as file:
        for page in DEEP[:3]:
            file.write(page, photometric='minisblack')
            file.write(page[::2, ::2], photometric='minisblack', subfiletype=1)
    pages = pages_of(tmp_path / 'a.tif')
    assert [page.number for page in pages] == [1, 2, 3]
    for page, expected in zip(pages, DEEP, strict=False):
        np.testing.assert_array_equal(read_image(page), expected)
        np.testing.assert_array_equal(read_image(page.path, Reading.of(page=page.number)), expected)


def test_a_volume_in_one_page_is_named(tmp_path):
    path = tmp_path / 'a.tif'
    tifffile.imwrite(path, DEEP, volumetric=True, tile=(16, 16, 16), photometric='minisblack')
    assert pages_of(path) == [Page(path, 1)]
    for source in (path, *pages_of(path)):
        with pytest.raises(DataError, match=r'a\.tif.* holds a volume of 5 planes in one page'):
            read_image(source)
    with pytest.raises(DataError, match='holds a volume of 5 planes'):
        find_stacks([path])


def test_the_rules_of_reading_hold_for_a_page(tmp_path):
    """A range, missing values, and an orientation."""
    pages = RANDOM.normal(20, 5, (3, 12, 16)).astype(np.float32)
    pages[1, 0, 0] = -9999
    tifffile.imwrite(tmp_path / 'a.tif', pages, photometric='minisblack',
                     extratags=[(42113, 's', 0, '-9999', False), (274, 'H', 1, 3, False)])
    image = read_image(Page(tmp_path / 'a.tif', 2), Reading.of(range=(0, 40)))
    np.testing.assert_allclose(image[::-1, ::-1].ravel()[1:] / 65535 * 40, pages[1].ravel()[1:], atol=1e-3)
    assert image[-1, -1] == 0


def test_a_file_that_is_cut_off_has_its_first_pages(tmp_path):
    path = tmp_path / 'a.tif'
    by_tifffile(DEEP)(path)
    content = path.read_bytes()
    with tifffile.TiffFile(path) as file:
        start = file.pages[3].dataoffsets[0]
    path.write_bytes(content[:start + 100])
    pages = pages_of(path)
    np.testing.assert_array_equal(read_image(pages[0]), DEEP[0])
    for page in (4, 5):
        with pytest.raises(DataError, match=r'\(page \d\)'):
            read_image(Page(path, page))


def test_other_files(tmp_path):
    Image.fromarray(COLOUR[0]).save(tmp_path / 'a.png')
    assert pages_of(tmp_path / 'a.png') == [Page(tmp_path / 'a.png', 1)]
    first, *others = map(Image.fromarray, COLOUR)
    first.save(tmp_path / 'a.gif', save_all=True, append_images=others)
    assert len(pages_of(tmp_path / 'a.gif')) == 5
    assert read_image(pages_of(tmp_path / 'a.gif')[4]).shape == (64, 48, 3)
    assert len(pages_of(tmp_path / 'absent.tif')) == 1
