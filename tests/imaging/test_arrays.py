"""Images in memory become what a reader gives of a file with the same pixels."""

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from vlfusion.errors import DataError
from vlfusion.imaging.arrays import as_image
from vlfusion.imaging.images import read_image

GENERATOR = np.random.default_rng(0)
GREY = GENERATOR.integers(0, 256, (5, 7), np.uint8)
COLOUR = GENERATOR.integers(0, 256, (5, 7, 3), np.uint8)  # red-green-blue
DEEP = GENERATOR.integers(0, 65536, (5, 7), np.uint16)
ALPHA = np.dstack([COLOUR, GREY])


def in_file(tmp_path, pixels):
    """Image that the reader returns for a PNG file of these red-green-blue pixels."""
    path = tmp_path / 'image.png'
    cv2.imwrite(str(path), pixels if pixels.ndim == 2 else pixels[..., ::-1])
    return read_image(path)


@pytest.mark.parametrize(('image', 'pixels'), [
    (GREY, GREY), (COLOUR, COLOUR), (DEEP, DEEP), (GREY[..., None], GREY), (ALPHA, COLOUR),
    (GREY / 255, GREY), ((COLOUR / 255).astype(np.float32), COLOUR), (DEEP / 65535, DEEP),
    (GREY > 127, np.where(GREY > 127, 255, 0).astype(np.uint8)), (DEEP.astype('>u2'), DEEP),
    (COLOUR[:, ::-1], COLOUR[:, ::-1]),
    (Image.fromarray(GREY), GREY), (Image.fromarray(COLOUR), COLOUR), (Image.fromarray(ALPHA), COLOUR),
    (Image.fromarray(DEEP), DEEP), (Image.fromarray(DEEP.astype(np.int32)), DEEP),
    (Image.fromarray((GREY / 255).astype(np.float32)), GREY),
    (Image.fromarray(np.dstack([GREY, GREY]), 'LA'), GREY), (Image.fromarray(GREY).convert('P'), GREY),
    (torch.from_numpy(GREY), GREY), (torch.from_numpy(GREY)[None] / 255, GREY),
    (torch.from_numpy(COLOUR).movedim(-1, 0) / 255, COLOUR), (torch.from_numpy(COLOUR).movedim(-1, 0)[None], COLOUR),
    (torch.from_numpy(GREY / 255).requires_grad_()[None, None], GREY),
], ids=range(24))
def test_an_image_in_memory_is_what_a_file_of_its_pixels_gives(image, pixels, tmp_path):
    found, expected = as_image(image), in_file(tmp_path, pixels)
    if found.ndim < expected.ndim or found.ndim > expected.ndim:  # a palette has three channels
        found, expected = np.atleast_3d(found) + np.zeros((1, 1, 3), np.uint8), np.atleast_3d(expected)
    assert found.dtype == expected.dtype and (found == expected).all()


def test_the_orientation_of_a_pil_image_is_applied(tmp_path):
    turned = Image.fromarray(GREY)
    exif = turned.getexif()
    exif[0x0112] = 3
    turned.save(tmp_path / 'turned.png', exif=exif)
    assert (as_image(Image.open(tmp_path / 'turned.png')) == GREY[::-1, ::-1]).all()


def test_a_file_is_read(tmp_path):
    in_file(tmp_path, COLOUR)
    assert (as_image(tmp_path / 'image.png') == COLOUR[..., ::-1]).all()


def test_floats_between_levels_keep_sixteen_bits():
    values = np.linspace(0, 1, 35).reshape(5, 7)
    found = as_image(values)
    assert found.dtype == np.uint16 and np.abs(found / 65535 - values).max() < 1e-5


@pytest.mark.parametrize(('image', 'message'), [
    (GREY.astype(np.int64), 'source_a holds int64.*\n.*uint8'),
    (GREY.astype(np.float32), r'source_a holds floats from .* to .*; expected \[0, 1\].*\n.*Divide'),
    (np.full((4, 4), np.nan), 'nan'), (np.full((4, 4), -0.1), '-0.1'),
    (np.zeros((3, 40, 50)), r'(?s)\(3, 40, 50\).*moveaxis'),
    (np.zeros((40, 50, 2)), r'\(40, 50, 2\)'), (np.zeros(4), r'\(4,\)'), (np.zeros((0, 4)), r'\(0, 4\)'),
    (torch.zeros(2, 1, 4, 4), r'tensor of shape \(2, 1, 4, 4\)'), (torch.zeros(5, 4, 3), r'\(5, 4, 3\)'),
    ([[0.1]], 'a list'), (None, 'NoneType'), (np.zeros((4, 4), complex), 'complex'),
    (Image.fromarray(np.full((4, 4), 70_000, np.int32)), 'int32'),
], ids=range(14))
def test_what_is_no_image_is_refused_with_what_it_is(image, message):
    with pytest.raises(DataError, match=message):
        as_image(image, 'source_a')
