"""Decoding: pixels, times, rotation, and files that are not whole."""

import re
from fractions import Fraction

import numpy as np
import pytest

from vlfusion.console.notes import new_run
from vlfusion.errors import DataError
from vlfusion.imaging.reading.rule import Reading
from vlfusion.imaging.video.file import VideoFile, is_video, upright
from vlfusion.testing.videos import write_toy_video

pytest.importorskip('av', reason="pip install 'vlfusion[video]'")


@pytest.fixture
def images():
    return [np.random.default_rng(seed).integers(0, 256, (24, 32, 3), np.uint8) for seed in range(6)]


def test_pixels_and_times(tmp_path, images):
    write_toy_video(tmp_path / 'a.mkv', images, 20)
    video = VideoFile(tmp_path / 'a.mkv')
    frames = list(video.read())
    assert [frame.number for frame in frames] == [1, 2, 3, 4, 5, 6] and (video.rate, video.sounds) == (20, ())
    assert [frame.time for frame in frames] == [Fraction(n, 20) for n in range(6)]
    assert all(np.array_equal(frame.image, image) for frame, image in zip(frames, images, strict=True))


def test_grey_stays_grey_and_16_bits_stay(tmp_path, images):
    grey = [image[..., 0] for image in images]
    write_toy_video(tmp_path / 'a.mkv', grey)
    assert np.array_equal(next(VideoFile(tmp_path / 'a.mkv').read()).image, grey[0])
    counts = [np.full((24, 32), 7000 + 300 * n, np.uint16) for n in range(6)]
    write_toy_video(tmp_path / 'b.mkv', counts)
    assert np.array_equal(next(VideoFile(tmp_path / 'b.mkv').read()).image, counts[0])
    scaled = [frame.image for frame in VideoFile(tmp_path / 'b.mkv', Reading.of('7000,8500')).read()]
    assert [image.item(0) for image in scaled] == [0, 13107, 26214, 39321, 52428, 65535]


def test_irregular_times(tmp_path, images):
    times = [0, 40, 80, 200, 213, 700]
    for name in ('a.mp4', 'a.mkv'):
        write_toy_video(tmp_path / name, images, times=times, unit=Fraction(1, 1000), codec='libx264')
        assert [frame.time for frame in VideoFile(tmp_path / name).read()] == [Fraction(t, 1000) for t in times]


def test_a_clock_that_does_not_begin_at_0_and_a_bare_stream(tmp_path, images):
    write_toy_video(tmp_path / 'a.ts', images, codec='libx264')
    write_toy_video(tmp_path / 'a.h264', images, codec='libx264')
    transport = VideoFile(tmp_path / 'a.ts')
    assert [frame.time for frame in transport.read()] == [Fraction(n, 25) for n in range(6)] and transport.start > 0
    assert [frame.time for frame in VideoFile(tmp_path / 'a.h264').read()] == [Fraction(n, 25) for n in range(6)]


@pytest.mark.parametrize(('ending', 'codec'), [('.mkv', 'ffv1'), ('.webm', 'libvpx-vp9'), ('.wmv', 'wmv2')])
def test_a_header_that_says_the_end(tmp_path, images, ending, codec):
    path = tmp_path / f'a{ending}'
    write_toy_video(path, images * 5, times=range(125, 155), unit=Fraction(1, 25), codec=codec)
    video = VideoFile(path)
    assert len(list(video.read())) == 30 and video.start == 5
    assert video.count == 30 and video.seconds == Fraction(6, 5)
    write_toy_video(path, images * 8, times=range(125, 173), unit=Fraction(1, 25), codec=codec)
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
    with pytest.raises(DataError, match='cut off|decoded|damaged'):
        list(VideoFile(path).read())


@pytest.mark.parametrize('turns', [0, 1, 2, 3])
def test_rotation(tmp_path, turns):
    image = np.zeros((32, 48), np.uint8)
    image[:16, :24] = 255
    write_toy_video(tmp_path / 'a.mp4', [image] * 2, codec='libx264', rotation=90 * turns)
    frame = next(VideoFile(tmp_path / 'a.mp4').read())
    assert np.array_equal(frame.image[..., 0] > 127, np.rot90(image, turns) > 127)


def test_mirrored_and_slanted():
    image = np.arange(6).reshape(2, 3)
    assert np.array_equal(upright(image, (-1, 0, 0, 1)), image[:, ::-1])
    assert np.array_equal(upright(image, (1, 0, 0, -1)), image[::-1])
    assert np.array_equal(upright(image, (0, 1, 1, 0)), image.T)
    with pytest.raises(DataError, match='multiple of 90'):
        upright(image, (1, 1, -1, 1))


def test_what_is_a_video(tmp_path, images):
    write_toy_video(tmp_path / 'a.mkv', images)
    (tmp_path / 'a.mkv').rename(tmp_path / 'clip')
    (tmp_path / 'a.png').write_bytes(b'\x89PNG')
    assert is_video(tmp_path / 'clip') and not is_video(tmp_path / 'a.png') and not is_video(tmp_path)


def test_files_without_video(tmp_path, images):
    write_toy_video(tmp_path / 'a.mkv', images, sound='aac')
    import av
    with av.open(str(tmp_path / 'a.mkv')) as source, av.open(str(tmp_path / 'sound.mkv'), 'w') as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    with pytest.raises(DataError, match=r'sound\.mkv holds no video stream, only audio'):
        VideoFile(tmp_path / 'sound.mkv')
    (tmp_path / 'b.mp4').write_bytes(b'\0\0\0\x18ftypisom' + b'\0' * 100)
    with pytest.raises(DataError, match=r'b\.mp4 cannot be opened as a video'):
        VideoFile(tmp_path / 'b.mp4')
    with pytest.raises(DataError, match='no pages'):
        VideoFile(tmp_path / 'a.mkv', Reading.of(page=2))


@pytest.mark.parametrize(('ending', 'codec', 'problem'), [
    ('.mkv', 'libx264', 'is cut off'), ('.mp4', 'libx264', 'cannot be opened'), ('.avi', 'ffv1', 'cannot be decoded')])
def test_a_file_that_is_cut_off(tmp_path, images, ending, codec, problem):
    path = tmp_path / f'a{ending}'
    write_toy_video(path, images * 10, codec=codec)
    path.write_bytes(path.read_bytes()[:path.stat().st_size * 6 // 10])
    with pytest.raises(DataError, match=problem):
        list(VideoFile(path).read())


def damage(path):
    """Overwrite 300 bytes in the middle of a file with zeros."""
    data, middle = path.read_bytes(), path.stat().st_size // 2
    path.write_bytes(data[:middle] + bytes(300) + data[middle + 300:])


def test_damage_in_the_middle(tmp_path, images, caplog):
    write_toy_video(tmp_path / 'a.mkv', images)
    write_toy_video(tmp_path / 'a.mp4', images * 10, codec='libx264', options={'coder': 'cavlc'})  # zeros are no code
    damage(tmp_path / 'a.mkv')
    damage(tmp_path / 'a.mp4')
    new_run()
    assert list(VideoFile(tmp_path / 'a.mkv').read())  # the decoder goes on
    assert re.search(r'damage in .*a\.mkv near frame [34]', caplog.text)
    with pytest.raises(DataError, match=r'a\.mp4 cannot be decoded at frame|Frame \d+ of .*a\.mp4.* is damaged'):
        list(VideoFile(tmp_path / 'a.mp4').read())


def test_damage_is_reported_for_the_damaged_file_alone(tmp_path, images, caplog):
    for name in 'ab':
        write_toy_video(tmp_path / f'{name}.mkv', images)
    damage(tmp_path / 'a.mkv')
    new_run()
    for _ in zip(*(VideoFile(tmp_path / f'{name}.mkv').read() for name in 'ab'), strict=True):
        pass
    assert re.findall(r'damage in .*(.\.mkv) near', caplog.text) == ['a.mkv']


def test_a_size_that_changes(tmp_path, images):
    write_toy_video(tmp_path / 'a.h264', images, codec='libx264')
    write_toy_video(tmp_path / 'b.h264', [image[:16] for image in images], codec='libx264')
    (tmp_path / 'c.h264').write_bytes((tmp_path / 'a.h264').read_bytes() + (tmp_path / 'b.h264').read_bytes())
    with pytest.raises(DataError, match=r'Frame 7 of .*c\.h264 is 32x16, but the frames before are 32x24'):
        list(VideoFile(tmp_path / 'c.h264').read())


@pytest.mark.parametrize(('ending', 'codec', 'rotation', 'aspect'), [
    ('mp4', 'libx264', None, Fraction(16, 15)), ('mkv', 'libx264', None, Fraction(16, 15)),
    ('mp4', 'ffv1', None, Fraction(16, 15)), ('mp4', 'libx264', 90, Fraction(15, 16)),
    ('mp4', 'libx264', 180, Fraction(16, 15))])
def test_pixels_that_are_not_square(tmp_path, images, ending, codec, rotation, aspect):
    path = tmp_path / f'a.{ending}'
    write_toy_video(path, images, codec=codec, rotation=rotation, aspect=Fraction(16, 15))
    assert VideoFile(path).aspect == aspect
    write_toy_video(path, images, codec=codec, rotation=rotation)
    assert VideoFile(path).aspect is None
