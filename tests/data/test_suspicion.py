"""Swapped sources are suspected, ordinary pairs are not."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from vlfusion.console.notes import new_run
from vlfusion.data.suspicion import note_misalignment, note_suspicion
from vlfusion.imaging.tasks import get_task

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (32, 48), np.uint8)
GREY_OF_THREE = np.dstack([GREY] * 3)
VIVID = RANDOM.integers(0, 256, (32, 48, 3), np.uint8)
PALE = np.clip(GREY_OF_THREE.astype(int) + (0, 4, 9), 0, 255).astype(np.uint8)
TINTED = np.clip(GREY_OF_THREE.astype(int) + (0, 1, 1), 0, 255).astype(np.uint8)
OTHER = RANDOM.integers(0, 256, (32, 48), np.uint8)


@pytest.fixture
def noted(caplog):
    def look(name, image_a, image_b):
        caplog.clear()
        new_run()
        note_suspicion(Path('ir/a.png'), Path('vi/a.png'), image_a, image_b, get_task(name))
        return caplog.text
    return look


@pytest.mark.parametrize(('name', 'image_a', 'image_b', 'word'), [
    ('ivf', VIVID, VIVID[::-1], 'False colours'), ('mif', VIVID, VIVID[::-1], 'False colours'),
    ('ivf', VIVID, GREY, 'swapped'), ('mif', VIVID, GREY_OF_THREE, 'swapped'), ('ivf', PALE, OTHER, 'swapped'),
    ('ivf', VIVID.astype(np.uint16) * 257, GREY, 'swapped'),
    ('ivf', GREY, GREY, 'same picture'), ('mef', VIVID, VIVID, 'same picture')])
def test_a_mistake_is_said(noted, name, image_a, image_b, word):
    assert word in noted(name, image_a, image_b)


@pytest.mark.parametrize(('name', 'image_a', 'image_b'), [
    ('ivf', GREY, VIVID), ('ivf', GREY, OTHER), ('ivf', GREY_OF_THREE, VIVID), ('ivf', TINTED, OTHER),
    ('mif', GREY, VIVID), ('ivf', PALE, VIVID), ('mef', VIVID, VIVID[::-1]), ('mff', VIVID, GREY)])
def test_ordinary_pairs_are_left_alone(noted, name, image_a, image_b):
    assert not noted(name, image_a, image_b)


def test_a_clear_misalignment_is_said_and_a_registered_pair_is_not(caplog):
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.random((140, 180)).astype(np.float32), (0, 0), 4)
    image = cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    new_run()
    note_misalignment(Path('a.png'), Path('b.png'), image[:-6, :-6], 255 - image[:-6, :-6])
    assert not caplog.records
    note_misalignment(Path('a.png'), Path('b.png'), image[:-6, :-6], 255 - image[6:, 6:])
    assert 'misaligned, by about 8 pixels' in caplog.text and 'check-pairs' in caplog.text


def test_different_scenes_are_not_called_misaligned(caplog):
    new_run()
    one, other = (cv2.GaussianBlur(np.random.default_rng(seed).integers(0, 256, (96, 96), np.uint8), (0, 0), 3)
                  for seed in (1, 2))
    note_misalignment(Path('a.png'), Path('b.png'), one, other)
    assert not caplog.records


def test_thin_pairs_are_not_called_misaligned(caplog):
    new_run()
    one = np.random.default_rng(1).integers(0, 256, (8, 2000), np.uint8)
    note_misalignment(Path('a.png'), Path('b.png'), one, 255 - one[:, ::-1])
    assert not caplog.records
