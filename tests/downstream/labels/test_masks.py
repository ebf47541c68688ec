"""Index masks: grey, palette and exact colours; unknown numbers, sizes and sorted palettes are refused."""

import cv2
import numpy as np
import pytest
from PIL import Image

from vlfusion.downstream.classes import get_classes
from vlfusion.downstream.labels.faults import LabelError
from vlfusion.downstream.labels.masks import IndexMasks
from vlfusion.errors import ConfigError
from vlfusion.testing.labelled import SIZE, drawn_mask, write_mask

MSRS = get_classes('MSRS')
MASK = drawn_mask(MSRS)
COLOURS = np.array(MSRS.palette, np.uint8)[MASK]


def read(root, classes='MSRS', size=SIZE, **options):
    return IndexMasks('masks', classes, root, **options).read('a', size)


@pytest.fixture
def path(tmp_path):
    (tmp_path / 'masks').mkdir()
    return tmp_path / 'masks/a.png'


def test_numbers_are_read_from_grey_and_from_palette_files(path, tmp_path):
    for palette in ((), MSRS.palette, np.arange(27).reshape(9, 3)):
        write_mask(path, MASK, palette)
        assert Image.open(path).mode == ('P' if len(palette) else 'L')
        mask = read(tmp_path)
        assert np.array_equal(mask, MASK) and mask.dtype == np.uint8


def test_exact_colours_and_three_equal_channels_are_read(path, tmp_path):
    cv2.imwrite(str(path), COLOURS[..., ::-1])
    assert np.array_equal(read(tmp_path), MASK)
    cv2.imwrite(str(path), np.repeat(MASK[..., None], 3, axis=2))
    assert np.array_equal(read(tmp_path), MASK)


def test_other_colours_are_refused_with_advice(path, tmp_path):
    cv2.imwrite(str(path), COLOURS)
    with pytest.raises(LabelError, match=r'masks/a.png: is a picture in colour, and \(.*\) is not among (.|\n)*swap'):
        read(tmp_path)
    cv2.imwrite(str(path), COLOURS[..., ::-1] // 2)
    with pytest.raises(LabelError, match='MSRS: Segmentation_labels'):
        read(tmp_path)
    with pytest.raises(LabelError, match='in 9 colours, and the class table has no palette'):
        read(tmp_path, dict(names=['void', 'person'], void=0))


def test_a_sorted_palette_is_refused(path, tmp_path):
    order = [0, 2, 1, *range(3, 9)]
    write_mask(path, np.array(order)[MASK], np.array(MSRS.palette)[order])
    assert np.array_equal(np.asarray(Image.open(path).convert('RGB')), COLOURS)  # the same picture
    with pytest.raises(LabelError, match=r'its palette shows the number 1 in the colour of person \(2\)'):
        read(tmp_path)


def test_unknown_numbers_are_counted(path, tmp_path):
    write_mask(path, np.where(MASK == 8, 12, MASK))
    with pytest.raises(LabelError, match=rf'holds 12 \({(MASK == 8).sum()} pixels\); the classes are 0 to 8'):
        read(tmp_path)
    write_mask(path, np.where(MASK == 8, 255, MASK))
    with pytest.raises(LabelError, match='write ignore=255'):
        read(tmp_path)
    assert np.array_equal(read(tmp_path, ignore=255), np.where(MASK == 8, 0, MASK))
    with pytest.raises(ConfigError, match='ignore=255 needs a void class'):
        read(tmp_path, ['person', 'car'], ignore=255)


def test_a_mask_of_another_size_is_refused(path, tmp_path):
    write_mask(path, MASK)
    with pytest.raises(LabelError, match=r'the mask has 64x48, but the image has 80x60 \(width x height\)'):
        read(tmp_path, size=(60, 80))


def test_other_files_are_refused(path, tmp_path):
    cv2.imwrite(str(path), MASK.astype(np.uint16))
    with pytest.raises(LabelError, match='has pixels of the kind I;16; expected 8-bit'):
        read(tmp_path)
    path.write_bytes(cv2.imencode('.jpg', MASK.astype(np.uint8))[1].tobytes())
    with pytest.raises(LabelError, match='a.png: is not a PNG file'):
        read(tmp_path)
    write_mask(path, np.random.default_rng(0).integers(0, 9, SIZE))
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(LabelError, match='cannot be decoded'):
        read(tmp_path)
