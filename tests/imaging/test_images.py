"""Images are read as they are stored and written whole."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from vlfusion.errors import ConfigError, DataError
from vlfusion.imaging.images import check_ending, luminance, read_image, to_8bit, write_image
from vlfusion.testing.shared import shared

RANDOM = np.random.default_rng(0)
COLOUR = RANDOM.integers(0, 256, (12, 16, 3), np.uint8)
GREY = RANDOM.integers(0, 256, (12, 16), np.uint8)


@pytest.mark.parametrize(('image', 'ending'), [
    (GREY, '.png'), (COLOUR, '.bmp'), (COLOUR, '.tif'), (GREY, '.PNG'),
    (RANDOM.integers(0, 65536, (12, 16), np.uint16), '.png'),
    (RANDOM.integers(0, 65536, (12, 16, 3), np.uint16), '.tiff')])
def test_read_gives_what_is_stored(tmp_path, image, ending):
    path = tmp_path / f'image{ending}'
    assert cv2.imwrite(str(path), image)
    read = read_image(path)
    assert read.dtype == image.dtype and np.array_equal(read, image)


def test_read_drops_alpha(tmp_path):
    cv2.imwrite(str(tmp_path / 'image.png'), np.dstack([COLOUR, GREY]))
    assert np.array_equal(read_image(tmp_path / 'image.png'), COLOUR)


@pytest.mark.parametrize('ending', ['.png', '.jpg', '.bmp', '.tif', '.webp', '.ppm'])
@pytest.mark.parametrize('kept', [0, 0.1, 0.5, 0.95])
def test_truncated_files_are_refused(tmp_path, ending, kept):
    path = tmp_path / f'image{ending}'
    cv2.imwrite(str(path), RANDOM.integers(0, 256, (64, 64, 3), np.uint8))
    path.write_bytes(path.read_bytes()[:int(kept * path.stat().st_size)])
    with pytest.raises(DataError, match=f'Cannot decode .*image{ending}.*{path.stat().st_size} bytes'):
        read_image(path)


def test_unreadable_files_are_refused(tmp_path):
    with pytest.raises(DataError, match='absent.png'):
        read_image(tmp_path / 'absent.png')
    with pytest.raises(DataError, match='Cannot read'):
        read_image(tmp_path)
    cv2.imwrite(str(tmp_path / 'float.tif'), GREY.astype(np.float32))
    with pytest.raises(DataError, match='float32 samples'):
        read_image(tmp_path / 'float.tif')


def test_luminance_of_grey_is_exact():
    assert np.array_equal(luminance(GREY), GREY / np.float32(255))
    assert np.array_equal(luminance(GREY.astype(np.uint16) * 257), luminance(GREY))


@pytest.mark.parametrize(('image', 'white'), [(COLOUR, 255), (COLOUR.astype(np.uint16) * 257, 65535)])
def test_luminance_of_colour(image, white):
    blue, green, red = np.moveaxis(image.astype(float), -1, 0)
    expected = 0.299 * red + 0.587 * green + 0.114 * blue
    plain, film = luminance(image, 'bt601'), luminance(image)
    assert plain.dtype == film.dtype == np.float32
    np.testing.assert_allclose(plain * white, expected, rtol=1e-6)
    assert np.abs(film * white - expected).max() <= 0.5 + 1e-2
    np.testing.assert_allclose(film * white, np.round(film * white), rtol=1e-6)


def test_luminance_of_a_real_image_as_the_released_code_has_it():
    path = shared('data/mff/Lytro/near/10.png')
    expected = np.round(cv2.cvtColor(cv2.imread(str(path)).astype('float32'), cv2.COLOR_BGR2GRAY)) / 255.0
    assert np.array_equal(luminance(read_image(path)), expected)


def test_unknown_luminance_rule():
    with pytest.raises(ConfigError, match='Did you mean bt601'):
        luminance(GREY, 'bt60')


def test_eight_bits_are_the_nearest_of_sixteen():
    """Compared with exact arithmetic for each of the 65536 levels; 8 bits stay the same array."""
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    exact = [[int(Fraction(int(level), 257) + Fraction(1, 2)) for level in row] for row in levels]
    assert to_8bit(levels).dtype == np.uint8 and np.array_equal(to_8bit(levels), exact)
    assert np.array_equal(to_8bit(COLOUR.astype(np.uint16) * 257), COLOUR) and to_8bit(COLOUR) is COLOUR


def test_write(tmp_path):
    write_image(tmp_path / 'new' / 'folder' / 'a.b.png', COLOUR)
    assert np.array_equal(read_image(tmp_path / 'new/folder/a.b.png'), COLOUR)
    write_image(tmp_path / 'new/folder/a.b.png', GREY)
    assert np.array_equal(read_image(tmp_path / 'new/folder/a.b.png'), GREY)
    assert [path.name for path in (tmp_path / 'new/folder').iterdir()] == ['a.b.png']


@pytest.mark.parametrize('name', ['a.jfif', 'a.xyz', 'a'])
def test_endings_that_are_offered_are_written(tmp_path, name):
    with pytest.raises(DataError, match='no ending|has the ending') as error:
        write_image(tmp_path / name, np.zeros((8, 8, 3), np.uint8))
    offered = error.value.remedy.removeprefix('Use one of ').removesuffix('.').split()
    assert '.png' in offered and '.jfif' not in offered
    for ending in offered:
        check_ending(f'a{ending}')


def test_write_in_an_unknown_format_leaves_nothing(tmp_path):
    with pytest.raises(DataError, match="no image format has the ending '.xyz'"):
        write_image(tmp_path / 'a.xyz', GREY)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('stem', ['n' * 251, '融' * 83])
def test_a_name_of_the_longest_kind_is_written(tmp_path, stem):
    write_image(tmp_path / f'{stem}.png', np.zeros((4, 4), np.uint8))
    assert [path.name for path in tmp_path.iterdir()] == [f'{stem}.png']


def test_an_image_on_a_full_disk_leaves_nothing(tmp_path, full_disk):
    image = np.random.default_rng(0).integers(0, 256, (99, 99), np.uint8)
    with pytest.raises(OSError, match='x.png'):
        write_image(tmp_path / 'x.png', image)
    assert not list(tmp_path.iterdir())


def test_an_image_that_its_format_cannot_hold_is_told_of(tmp_path):
    with pytest.raises(DataError, match='cannot hold 66000x1 pixels'):
        write_image(tmp_path / 'x.jpg', np.zeros((1, 66000), np.uint8))
