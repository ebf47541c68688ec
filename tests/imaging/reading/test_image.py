"""Images are read upright, with their bands and depth, and damaged ones are refused."""

import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from vlfusion.console.notes import new_run
from vlfusion.errors import DataError
from vlfusion.imaging.images import SUFFIXES, read_image
from vlfusion.imaging.reading.image import FLOAT_SUFFIXES
from vlfusion.imaging.reading.rule import Reading

RANDOM = np.random.default_rng(0)
#: Flat squares, which lossy formats keep nearly: no two turns or mirrors of it are alike.
COLOUR = np.kron(RANDOM.integers(0, 256, (2, 3, 3), np.uint8), np.ones((16, 16, 1), np.uint8))
GREY = COLOUR[..., 1]
ORIENTATION = 0x0112
#: What makes the stored image of each orientation upright, in Pillow's words.
TURNS = {2: 'FLIP_LEFT_RIGHT', 3: 'ROTATE_180', 4: 'FLIP_TOP_BOTTOM', 5: 'TRANSPOSE', 6: 'ROTATE_270', 7: 'TRANSVERSE',
         8: 'ROTATE_90'}


@pytest.fixture(autouse=True)
def said(caplog):
    """The notes of a run that begins here."""
    new_run()
    return lambda: [record.getMessage() for record in caplog.records if record.name == 'vlfusion']


def chunk(kind, content):
    return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', zlib.crc32(kind + content))


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('ending', ['.jpg', '.png', '.tif', '.webp', '.avif'])
@pytest.mark.parametrize('image', [COLOUR, GREY], ids=['colour', 'grey'])
def test_images_are_upright_as_exif_says(tmp_path, orientation, ending, image):
    if ending not in SUFFIXES:
        pytest.skip(f'this OpenCV reads no {ending}')
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = Image.fromarray(image)
    options = {'.webp': dict(lossless=True), '.avif': dict(quality=100), '.jpg': dict(quality=100)}.get(ending, {})
    stored.save(tmp_path / f'a{ending}', exif=exif, **options)
    upright = stored.transpose(Image.Transpose[TURNS[orientation]]) if orientation > 1 else stored
    read = read_image(tmp_path / f'a{ending}')
    expected = np.asarray(upright)[..., ::-1] if read.ndim == 3 and image.ndim == 3 else np.asarray(upright)
    read = read if read.ndim == expected.ndim else read[..., 0]  # WebP and AVIF have no grey
    assert read.shape == expected.shape and np.abs(read.astype(int) - expected)[4:-4, 4:-4].mean() < 12


@pytest.mark.parametrize('orientation', [3, 6])
@pytest.mark.parametrize('after', [False, True], ids=['before the pixels', 'after the pixels'])
def test_16_bit_png_is_turned_wherever_its_metadata_stand(tmp_path, orientation, after):
    image = RANDOM.integers(0, 65536, (4, 6), np.uint16)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    data = cv2.imencode('.png', image)[1].tobytes()
    place = len(data) - 12 if after else 33
    path = tmp_path / 'a.png'
    path.write_bytes(data[:place] + chunk(b'eXIf', exif.tobytes().removeprefix(b'Exif\0\0')) + data[place:])
    assert np.array_equal(read_image(path), np.rot90(image, 2 if orientation == 3 else 3))


@pytest.mark.parametrize('exif', [b'', b'Exif\0\0', b'Exif\0\0II*\0\xff\xff\xff\xff',
                                  b'Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12'])
def test_damaged_metadata_turn_nothing(tmp_path, exif):
    data = cv2.imencode('.jpg', COLOUR)[1].tobytes()
    (tmp_path / 'a.jpg').write_bytes(data[:2] + b'\xff\xe1' + struct.pack('>H', len(exif) + 2) + exif + data[2:])
    (tmp_path / 'b.jpg').write_bytes(data)
    assert np.array_equal(read_image(tmp_path / 'a.jpg'), read_image(tmp_path / 'b.jpg'))


def test_an_orientation_that_does_not_exist_turns_nothing(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 9
    Image.fromarray(COLOUR).save(tmp_path / 'a.png', exif=exif)
    assert np.array_equal(read_image(tmp_path / 'a.png'), COLOUR[..., ::-1])


@pytest.mark.parametrize('ending', SUFFIXES)
def test_every_ending_that_counts_is_read(tmp_path, ending):
    written = {'.jfif': '.jpg', '.apng': '.png', '.gif': '.png', '.j2k': '.png'}.get(ending, ending)
    path, image = tmp_path / f'a{written}', GREY if ending in ('.pgm', '.pbm') else COLOUR
    assert cv2.imwrite(str(path), image)
    if ending in ('.gif', '.j2k'):
        Image.open(path).save(tmp_path / f'a{ending}')
    else:
        path = path.rename(tmp_path / f'a{ending}')
    read = read_image(tmp_path / f'a{ending}')
    expected = np.where(image > 127, 255, 0) if ending == '.pbm' else image
    assert read.dtype == np.uint8 and read.shape[:2] == (32, 48)
    if ending != '.pbm':
        assert np.abs(read.astype(int) - expected).mean() < 8


@pytest.mark.parametrize('ending', FLOAT_SUFFIXES)
def test_floating_point_images_need_a_range(tmp_path, ending):
    path = tmp_path / f'a{ending}'
    assert cv2.imwrite(str(path), COLOUR.astype(np.float32) / 100)
    with pytest.raises(DataError, match=r'float32 samples, from .*(?s:.)*--range-a'):
        read_image(path)
    read = read_image(path, Reading.of('minmax'))
    assert read.dtype == np.uint16 and read.min() == 0 and read.max() == 65535


def animation(path, frames=3):
    first, *others = [Image.fromarray((COLOUR * (index + 1) // frames).astype(np.uint8)) for index in range(frames)]
    first.save(path, save_all=True, append_images=others, **({'lossless': True} if path.suffix == '.webp' else {}))


@pytest.mark.parametrize('ending', ['.gif', '.png', '.webp', '.avif', '.tif'])
def test_several_pages_or_frames_need_a_choice(tmp_path, ending):
    if ending not in SUFFIXES:
        pytest.skip(f'this OpenCV reads no {ending}')
    path = tmp_path / f'a{ending}'
    animation(path)
    with pytest.raises(DataError, match=r'holds 3 pages(?s:.)*--page-a or --page-b.*page_a') as error:
        read_image(path)
    assert 'counted from 1' in error.value.remedy
    for page in (1, 2, 3):
        expected = (COLOUR * page // 3).astype(np.uint8)[..., ::-1].astype(int)
        assert np.abs(read_image(path, Reading.of(page=page)) - expected).mean() < 8, page
    with pytest.raises(DataError, match='has no page 4'):
        read_image(path, Reading.of(page=4))


@pytest.mark.parametrize('ending', ['.gif', '.png', '.webp', '.tif', '.jpg', '.bmp', '.ppm'])
def test_a_single_page_may_be_chosen(tmp_path, ending):
    if ending not in SUFFIXES:
        pytest.skip(f'this OpenCV reads no {ending}')
    Image.fromarray(COLOUR).save(tmp_path / f'a{ending}')
    assert np.array_equal(read_image(tmp_path / f'a{ending}', Reading.of(page=1)), read_image(tmp_path / f'a{ending}'))
    with pytest.raises(DataError, match='has no page 2'):
        read_image(tmp_path / f'a{ending}', Reading.of(page=2))


def test_cmyk_is_refused(tmp_path):
    for ending in ('jpg', 'tif'):
        Image.fromarray(COLOUR).convert('CMYK').save(tmp_path / f'a.{ending}')
        with pytest.raises(DataError, match='CMYK'):
            read_image(tmp_path / f'a.{ending}')


def test_a_palette_is_read_as_its_colours(tmp_path):
    for ending in ('png', 'tif', 'bmp'):
        Image.fromarray(COLOUR).convert('P', palette=Image.Palette.ADAPTIVE).save(tmp_path / f'a.{ending}')
        assert np.abs(read_image(tmp_path / f'a.{ending}').astype(int) - COLOUR[..., ::-1]).max() < 8


def test_a_band_of_a_colour_image(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), COLOUR)
    assert np.array_equal(read_image(tmp_path / 'a.png', Reading.of(bands=1)), COLOUR[..., 2])
    assert np.array_equal(read_image(tmp_path / 'a.png', Reading.of(bands='3,2,1')), COLOUR[..., ::-1])
    cv2.imwrite(str(tmp_path / 'g.png'), GREY)
    assert np.array_equal(read_image(tmp_path / 'g.png', Reading.of(bands='1,1,1')), np.dstack([GREY] * 3))
    with pytest.raises(DataError, match='no band 4; it has 3'):
        read_image(tmp_path / 'a.png', Reading.of(bands=4))


@pytest.mark.parametrize(('low', 'high', 'told'), [
    (7000, 8500, True), (0, 4095, True), (0, 16383, True), (0, 40000, False), (0, 65535, False), (500, 500, False)])
def test_a_small_part_of_16_bits_is_said_once(tmp_path, said, low, high, told):
    for name in 'ab':
        cv2.imwrite(str(tmp_path / f'{name}.png'), np.linspace(low, high, 64).reshape(8, 8).astype(np.uint16))
        read_image(tmp_path / f'{name}.png')
    assert len(said()) == told
    if told:
        assert f'a.png holds values from {low} to {high}' in said()[0] and '--range-a' in said()[0]
    read_image(tmp_path / 'a.png', Reading.of('minmax'))
    assert len(said()) == told
    new_run()
    read_image(tmp_path / 'b.png')
    assert len(said()) == 2 * told


def test_eight_bits_are_read_in_silence(tmp_path, said):
    cv2.imwrite(str(tmp_path / 'a.png'), GREY // 16)
    read_image(tmp_path / 'a.png', for_output=True)
    assert not said()


def test_the_loss_of_bits_is_said_of_what_is_written_only(tmp_path, said):
    cv2.imwrite(str(tmp_path / 'a.png'), np.linspace(0, 65535, 64).reshape(8, 8).astype(np.uint16))
    read_image(tmp_path / 'a.png')
    assert not said()
    for _ in range(2):
        read_image(tmp_path / 'a.png', for_output=True)
    assert len(said()) == 1 and 'a.png has 16 bits' in said()[0] and 'written with 8' in said()[0]


@pytest.mark.parametrize('lost', [1, 2])
@pytest.mark.parametrize('progressive', [False, True])
def test_a_jpeg_without_its_end_marker_is_read_with_a_note(tmp_path, said, capfd, lost, progressive):
    image = RANDOM.integers(0, 256, (40, 56, 3), np.uint8)
    data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)])[1].tobytes()
    (tmp_path / 'whole.jpg').write_bytes(data)
    (tmp_path / 'cut.jpg').write_bytes(data[:-lost])
    assert np.array_equal(read_image(tmp_path / 'cut.jpg'), read_image(tmp_path / 'whole.jpg'))
    assert len(said()) == 1 and 'lacks its end marker' in said()[0] and not capfd.readouterr().err


@pytest.mark.parametrize('lost', [4, 10, 100, 500, 2000])
@pytest.mark.parametrize('progressive', [False, True])
def test_a_jpeg_that_lacks_pixels_is_refused(tmp_path, lost, progressive):
    image = RANDOM.integers(0, 256, (40, 56, 3), np.uint8)
    data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)])[1].tobytes()
    (tmp_path / 'cut.jpg').write_bytes(data[:-lost])
    with pytest.raises(DataError, match='Cannot decode'):
        read_image(tmp_path / 'cut.jpg')


def blank_png(path, width, height):
    """A file of few bytes that says it is large; its rows are all black."""
    row, compressor = bytes(1 + width), zlib.compressobj(9)
    rows = compressor.compress(row * min(height, 64)) + compressor.flush()
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0))
                     + chunk(b'IDAT', rows) + chunk(b'IEND', b''))


@pytest.mark.parametrize(('width', 'height'), [(60000, 60000), (1 << 21, 4)])
def test_more_pixels_than_are_decoded_are_named(tmp_path, width, height):
    blank_png(tmp_path / 'a.png', width, height)
    with pytest.raises(DataError, match=rf'a\.png has {width}x{height} pixels; the limit is \d+ pixels') as error:
        read_image(tmp_path / 'a.png')
    assert 'OPENCV_IO_MAX_IMAGE_PIXELS' in error.value.remedy


def test_what_does_not_fit_into_memory_is_refused_before_it_is_decoded(tmp_path):
    blank_png(tmp_path / 'a.png', 30000, 30000)
    script = ('import sys; from vlfusion.errors import DataError; from vlfusion.imaging.images import read_image\n'
              'import resource; used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()\n'
              'resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30),) * 2)\n'
              'try: read_image(sys.argv[1])\nexcept DataError as error: print(error)')
    found = subprocess.run([sys.executable, '-c', script, tmp_path / 'a.png'], capture_output=True, text=True)
    assert '30000x30000 pixels, about 6.7 GiB, which do not fit into memory' in found.stdout, found.stderr


def test_decoders_are_silent(tmp_path, capfd):
    (tmp_path / 'a.png').write_bytes(cv2.imencode('.png', COLOUR)[1].tobytes()[:-300])
    (tmp_path / 'a.tif').write_bytes(cv2.imencode('.tif', COLOUR)[1].tobytes()[:100])
    for ending in ('png', 'tif'):
        with pytest.raises(DataError, match='Cannot decode'):
            read_image(tmp_path / f'a.{ending}')
    assert capfd.readouterr().err == ''


@pytest.mark.parametrize('ending', ['png', 'webp', 'tif'])
def test_transparent_pixels_are_said(tmp_path, said, ending):
    image = np.full((8, 8, 4), 255, np.uint8)
    cv2.imwrite(str(tmp_path / f'opaque.{ending}'), image)
    read_image(tmp_path / f'opaque.{ending}', for_output=True)
    assert said() == []
    image[:4, :, 3] = 0
    cv2.imwrite(str(tmp_path / f'a.{ending}'), image)
    assert read_image(tmp_path / f'a.{ending}', for_output=True).shape == (8, 8, 3)
    assert len(said()) == 1 and 'transparent' in said()[0]
