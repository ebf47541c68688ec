"""Statements of MeasuredCaptioner are true of images whose truth is known because they were drawn."""

import cv2
import numpy as np
import pytest
from language.captioners.conftest import scenes

from vlfusion.imaging.images import read_image
from vlfusion.language.captioners import MeasuredCaptioner
from vlfusion.language.words import PLACES
from vlfusion.testing.shared import shared

NINE = [(row, column, PLACES[row][column]) for row in range(3) for column in range(3)]


def seen(image, modality='infrared'):
    return MeasuredCaptioner().observe([(image,)], (modality,))[0]


def text(image, modality='infrared') -> str:
    return ' '.join(observation.text for observation in seen(image, modality))


@pytest.mark.parametrize(('row', 'column', 'place'), NINE)
def test_bright_square_is_where_it_is(row, column, place):
    image = np.full((90, 120), 40, np.uint8)
    image[30 * row + 8:30 * row + 22, 40 * column + 10:40 * column + 30] = 220
    said = text(image)
    assert f'It is brightest in the {place}.' in said
    assert f'A small compact bright patch stands out in the {place}.' in said
    x0, y0, x1, y1 = next(observation.box for observation in seen(image) if observation.box)
    middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    np.testing.assert_allclose(middle, [(40 * column + 20) / 120, (30 * row + 15) / 90], atol=0.01)


@pytest.mark.parametrize(('row', 'column', 'place'), NINE)
def test_fine_texture_is_where_it_is(row, column, place):
    image = np.full((90, 90), 100, np.uint8)
    board = np.indices((30, 30)).sum(0) % 2 * 40 + 80  # the same mean brightness as the rest
    image[30 * row:30 * row + 30, 30 * column:30 * column + 30] = board
    said = text(image)
    assert f'It is sharpest in the {place}.' in said
    assert 'It is about equally bright everywhere.' in said


def test_dark_spot_is_where_it_is():
    image = np.full((90, 90), 200, np.uint8)
    image[62:85, 65:88] = 60
    assert 'It is darkest in the lower right.' in text(image)


def test_the_second_brightest_region_is_named_too():
    image = np.full((90, 90), 40, np.uint8)
    image[0:30, 60:90], image[60:90, 0:30] = 240, 140
    assert 'It is brightest in the upper right and next in the lower left.' in text(image)


@pytest.mark.parametrize(('rows', 'words'), [(12, 'A small part'), (45, 'About half'), (85, 'Most')])
def test_background_is_black_that_reaches_the_border(rows, words):
    image = np.full((90, 90), 150, np.uint8)
    image[:rows] = 0
    assert f'{words} of it is empty black background.' in text(image)
    assert 'Apart from its background it is bright' in text(image)


def test_black_inside_is_no_background():
    image = np.full((90, 90), 150, np.uint8)
    image[20:70, 20:70] = 0
    assert 'background' not in text(image)
    assert 'Overall it is' in text(image)


def test_burnt_out_white_is_told():
    image = np.full((90, 90), 120, np.uint8)
    image[:, :30] = 255
    assert 'About a third of it is purely white.' in text(image)


@pytest.mark.parametrize(('bgr', 'name'), [((30, 30, 220), 'red'), ((220, 40, 20), 'blue'), ((20, 200, 30), 'green'),
                                           ((20, 220, 220), 'yellow'), ((20, 130, 240), 'orange'),
                                           ((220, 220, 20), 'cyan'), ((220, 20, 220), 'magenta')])
def test_hue_and_its_place(bgr, name):
    image = np.full((90, 90, 3), 90, np.uint8)
    image[65:85, 5:25] = bgr
    assert f'A small part of it is coloured, most strikingly {name} in the lower left.' in text(image)


def test_two_hues_most_area_first():
    image = np.full((90, 90, 3), 90, np.uint8)
    image[0:25, 0:25], image[60:90, 60:90] = (20, 200, 30), (30, 30, 220)
    assert 'red in the lower right and green in the upper left.' in text(image)


@pytest.mark.parametrize('image', [np.full((30, 30), 80, np.uint8), np.full((30, 30, 3), 80, np.uint8)])
def test_grey_is_grey_however_it_is_stored(image):
    assert 'It is grey, without any colour.' in text(image)


def test_hollow_shape_is_not_said_to_fill_its_middle():
    image = np.full((120, 120), 60, np.uint8)
    cv2.circle(image, (60, 60), 40, 250, 5)
    assert 'bright outline spans the centre' in text(image)
    assert 'patch' not in text(image)


@pytest.mark.parametrize(('level', 'brightness'), [(0, 'very dark'), (120, 'moderately bright'), (255, 'very bright')])
def test_plain_image_has_nothing_standing_out(level, brightness):
    said = text(np.full((40, 40), level, np.uint8))
    assert f'Overall it is {brightness}, with hardly any contrast and hardly any fine detail.' in said
    assert 'It is about equally bright everywhere. It is about equally sharp everywhere.' in said
    assert 'stands out' not in said


def test_modality_size_and_shape():
    assert text(np.zeros((300, 200), np.uint8), 'MRI').startswith('This small tall image is of the MRI kind.')
    assert text(np.zeros((500, 900), np.uint8)).startswith('This medium-sized wide image is of the infrared kind.')
    assert text(np.zeros((9, 9), np.uint8), '').startswith('This small square image is of an unknown kind.')


@pytest.mark.parametrize('shape', [(1, 1), (2, 300), (300, 2, 3), (5, 7)])
def test_any_size_will_do_and_no_digit_is_said(shape):
    image = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    assert not any(character.isdigit() for character in text(image))


def test_sixteen_bits_say_what_eight_bits_say():
    image = np.random.default_rng(2).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    assert text(image.astype(np.uint16) * 257) == text(image)


def test_same_image_same_words_in_any_batch():
    drawn = [np.random.default_rng(seed).integers(0, 256, (60, 80), dtype=np.uint8) for seed in range(3)]
    assert MeasuredCaptioner().observe(scenes(drawn), ('visible',)) == [seen(image, 'visible') for image in drawn]


def test_real_slices_are_told_apart():
    files = sorted(shared('data/mif/Harvard/SPECT-MRI/test').rglob('*.png'))
    said = {text(read_image(file), file.parent.name) for file in files}
    assert len(said) >= 0.9 * len(files)
