"""Numbered pictures in a folder: their numbers tell the times, and a folder is whole or absent."""

from fractions import Fraction

import numpy as np
import pytest

from vlfusion.console.notes import new_run
from vlfusion.errors import DataError
from vlfusion.imaging.images import read_image
from vlfusion.imaging.video.pictures import numbered_names, write_frames

IMAGES = np.random.default_rng(0).integers(0, 65536, (4, 12, 16), np.uint16)


@pytest.mark.parametrize(('times', 'numbers', 'irregular'), [
    ([0, 40, 120, 160], [1, 2, 4, 5], False), ([0, 55, 80, 145], [1, 2, 3, 5], True),
    ([0, 5, 9, 80], [1, 2, 3, 4], True), ([0, 41, 79, 120], [1, 2, 3, 4], False),
], ids=['gap', 'nearest', 'crowded', 'rounded'])
def test_numbers_tell_the_times(tmp_path, caplog, times, numbers, irregular):
    new_run()
    with write_frames(numbered_names(tmp_path / 'x'), Fraction(25)) as writer:
        for image, time in zip(IMAGES, times, strict=True):
            writer.write(image, Fraction(time, 1000))
        assert not (tmp_path / 'x').exists()
    assert sorted(path.name for path in (tmp_path / 'x').iterdir()) == [f'{number:05d}.png' for number in numbers]
    np.testing.assert_array_equal(read_image(tmp_path / f'x/{numbers[-1]:05d}.png'), IMAGES[-1])
    assert ('times of the frames are irregular' in caplog.text) == irregular


def test_an_error_leaves_nothing(tmp_path):
    names = numbered_names(tmp_path / 'x/f_%03d.tif')
    with pytest.raises(RuntimeError), write_frames(names, Fraction(25)) as writer:
        writer.write(IMAGES[0], Fraction(0))
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    with write_frames(names, Fraction(25)) as writer:
        writer.write(IMAGES[0], Fraction(0))
    assert [path.name for path in (tmp_path / 'x').iterdir()] == ['f_001.tif']
    with pytest.raises(DataError, match='x exists; frames are written to a new folder'):
        names.check()


@pytest.mark.parametrize(('out', 'suffix', 'problem'), [
    ('frames/1.png', None, 'one picture, but there are many frames'), ('%d/1.png', None, 'one picture'),
    ('50%_%d.png', None, 'more than one %'), ('f%s.png', None, 'one picture'), ('%05d.png', '.tif', 'no effect')])
def test_outputs_that_are_no_folder(tmp_path, out, suffix, problem):
    with pytest.raises(DataError, match=problem):
        numbered_names(tmp_path / out, suffix)


def test_endings_are_checked_before_the_work(tmp_path):
    for suffix, depth, problem in (('xyz', 8, 'no image format'), ('.jpg', 16, 'with 16 bits')):
        with pytest.raises(DataError, match=problem):
            numbered_names(tmp_path, suffix).check(depth)
