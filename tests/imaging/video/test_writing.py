"""Encoding: pixels, colours, times, sound, and files that are whole or absent."""

from fractions import Fraction

import numpy as np
import pytest

from vlfusion.errors import ConfigError, DataError
from vlfusion.imaging.video.file import VideoFile
from vlfusion.imaging.video.writing import Sound, check_target, write_video
from vlfusion.testing.videos import write_toy_video

av = pytest.importorskip('av', reason="pip install 'vlfusion[video]'")
RATE = dict(rate=Fraction(25), time_base=Fraction(1, 25))


@pytest.fixture
def images():
    return [np.random.default_rng(seed).integers(0, 256, (24, 32, 3), np.uint8) for seed in range(6)]


def write(path, images, times=None, **options):
    with write_video(path, **{**RATE, **options}) as writer:
        for number, image in enumerate(images):
            writer.write(image, times[number] if times else Fraction(number, 25))


def test_ffv1_loses_nothing(tmp_path, images):
    write(tmp_path / 'a.mkv', images, codec='ffv1')
    assert all(np.array_equal(frame.image, image)
               for frame, image in zip(VideoFile(tmp_path / 'a.mkv').read(), images, strict=True))
    write(tmp_path / 'b.mkv', [image[..., 0] for image in images], codec='ffv1', grey=True)
    assert np.array_equal(next(VideoFile(tmp_path / 'b.mkv').read()).image, images[0][..., 0])


@pytest.mark.parametrize('ending', ['.mp4', '.mov', '.mkv', '.webm'])
@pytest.mark.parametrize('colour', [(40, 90, 200), (255, 255, 255), (0, 0, 0)])
def test_colours_survive(tmp_path, ending, colour):
    image = np.full((48, 64, 3), colour, np.uint8)
    write(tmp_path / f'a{ending}', [image] * 2)
    for frame in VideoFile(tmp_path / f'a{ending}').read():
        assert np.abs(frame.image.astype(int) - image).max() <= 3
    with av.open(str(tmp_path / f'a{ending}')) as container:
        assert next(container.decode(video=0)).colorspace == 1  # BT.709


def test_grey_between_colours(tmp_path):
    grey = np.tile(np.arange(0, 256, 4, np.uint8), (48, 1))
    write(tmp_path / 'a.mp4', [grey, cv2_grey(grey), grey])
    for frame in VideoFile(tmp_path / 'a.mp4').read():
        assert np.abs(frame.image.astype(int) - grey[..., None]).max() <= 6


def cv2_grey(grey):
    return np.repeat(grey[..., None], 3, axis=2)


def test_odd_sizes_stay(tmp_path):
    image = np.full((31, 45, 3), (40, 90, 200), np.uint8)
    write(tmp_path / 'a.mp4', [image] * 2)
    frame = next(VideoFile(tmp_path / 'a.mp4').read())
    assert frame.image.shape == image.shape and np.abs(frame.image.astype(int) - image).max() <= 3


def test_times_stay(tmp_path, images):
    times = [Fraction(time, 1000) for time in (0, 40, 80, 200, 213, 700)]
    for name in ('a.mp4', 'a.mkv'):
        write(tmp_path / name, images, times, time_base=Fraction(1, 1000))
        assert [frame.time for frame in VideoFile(tmp_path / name).read()] == times


@pytest.mark.parametrize(('begins', 'first', 'last'), [(Fraction(0), 0., 0.2), (Fraction('0.4'), 0.4, 0.6)])
def test_sound_is_copied_from_the_first_frame_to_the_last(tmp_path, images, begins, first, last):
    write_toy_video(tmp_path / 'loud.mkv', images * 5, sound='pcm_s16le', seconds=1.2)
    loud = VideoFile(tmp_path / 'loud.mkv')
    next(loud.read())
    write(tmp_path / 'a.mkv', images[:5], sound=Sound(loud, begins))
    original, copied = (samples(tmp_path / name) for name in ('loud.mkv', 'a.mkv'))
    packet = 1024
    start = -(-round(8000 * first) // packet) * packet  # the first whole packet
    assert np.array_equal(copied, original[start:start + len(copied)])
    assert abs(len(copied) - 8000 * (last - first)) <= 2 * packet


def samples(path):
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


def test_no_half_file(tmp_path, images):
    with pytest.raises(RuntimeError), write_video(tmp_path / 'a.mp4', **RATE) as writer:
        writer.write(images[0], Fraction(0))
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_targets_that_cannot_be_written(tmp_path):
    with pytest.raises(DataError, match=r'ends in \.mp4'):
        check_target('a.gif')
    with pytest.raises(ConfigError, match='codec'):
        check_target('a.mp4', 'h263')
    with pytest.raises(DataError, match='cannot hold h264'):
        check_target('a.webm', 'h264')
    with pytest.raises(DataError, match='cannot hold vp9'):
        check_target('a.mov', 'vp9')
    with pytest.raises(DataError, match='aac'):
        check_target('a.webm', sounds=['opus', 'aac'])
    check_target('a.mkv', 'ffv1', ['pcm_s16le'])
