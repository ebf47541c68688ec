"""Two videos become one: equal to fusing the frames, with times and sound; errors leave nothing."""

import signal
import subprocess
import sys
import time
from fractions import Fraction

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from vlfusion import Fuser
from vlfusion.cli import main
from vlfusion.data.pairs import Pair
from vlfusion.errors import ConfigError, DataError
from vlfusion.evaluation.sequence import score_sequence
from vlfusion.imaging.images import read_image, write_image
from vlfusion.imaging.video.file import VideoFile
from vlfusion.inference.video import fuse_video, wants_video
from vlfusion.language.interfaces import TextFeatures
from vlfusion.registry import BACKBONES, TEXT_ENCODERS
from vlfusion.testing.videos import write_toy_video

av = pytest.importorskip('av', reason="pip install 'vlfusion[video]'")
pytest.importorskip('vlfusion_classical', reason='pip install --editable plugins/classical')
METHOD = 'classical/laplacian_ivf'


@pytest.fixture
def frames():
    """Six frames of a thermal and a colour camera that turn."""
    rng = np.random.default_rng(0)
    wide = cv2.GaussianBlur(rng.integers(0, 256, (40, 80, 3), np.uint8), (0, 0), 4)
    wide = cv2.normalize(wide, None, 0, 255, cv2.NORM_MINMAX)
    return [wide[:, n:n + 48, 0].copy() for n in range(6)], [wide[:, n:n + 48].copy() for n in range(6)]


@pytest.fixture
def videos(tmp_path, frames):
    for name, images in zip(('ir', 'vi'), frames, strict=True):
        write_toy_video(tmp_path / f'{name}.mkv', images, 25)
    return tmp_path / 'ir.mkv', tmp_path / 'vi.mkv', tmp_path / 'out/fused.mkv'


def test_each_frame_equals_its_pictures_fused(videos, frames):
    done = fuse_video(METHOD, *videos, codec='ffv1')
    assert (done.frames, done.seconds, done.unpaired_a, done.unpaired_b, done.sound) == (6, 0.24, [], [], '')
    fuser = Fuser(METHOD)
    for frame, image_a, image_b in zip(VideoFile(done.path).read(), *frames, strict=True):
        assert np.array_equal(frame.image, fuser(image_a, image_b[..., ::-1]).colour)


def test_grey_and_batches(videos):
    done = fuse_video(METHOD, *videos, codec='ffv1', grey=True, batch_size=4)
    assert [frame.image.ndim for frame in VideoFile(done.path).read()] == [2] * 6


def test_rates_sizes_irregular_times_and_sound(tmp_path, frames):
    times = [0, 40, 100, 120, 200, 240]
    write_toy_video(tmp_path / 'ir.mp4', [cv2.resize(image, (24, 20)) for image in frames[0]], times=times,
                    unit=Fraction(1, 1000), codec='libx264')
    write_toy_video(tmp_path / 'vi.mp4', frames[1] * 2, 50, codec='libx264', sound='aac', seconds=0.24)
    with pytest.raises(DataError, match='24x20'):
        fuse_video(METHOD, tmp_path / 'ir.mp4', tmp_path / 'vi.mp4', tmp_path / 'fused.mp4')
    done = fuse_video(METHOD, tmp_path / 'ir.mp4', tmp_path / 'vi.mp4', tmp_path / 'fused.mp4', fit='resize')
    written = VideoFile(done.path)
    assert [frame.time for frame in written.read()] == [Fraction(time, 1000) for time in times[:done.frames]]
    assert written.sounds == ('aac',) and done.sound == str(tmp_path / 'vi.mp4')
    assert done.frames == 6 and done.unpaired_b == [2, 4, 5, 8, 9, 10]
    assert not fuse_video(METHOD, tmp_path / 'ir.mp4', tmp_path / 'vi.mp4', tmp_path / 'fused.mp4', fit='resize',
                          audio=False).sound


def test_different_lengths_and_an_offset(videos, tmp_path, frames):
    write_toy_video(tmp_path / 'short.mkv', frames[0][:3], 25)
    done = fuse_video(METHOD, tmp_path / 'short.mkv', *videos[1:])
    assert (done.frames, done.unpaired_a, done.unpaired_b) == (3, [], [4, 5, 6])
    done = fuse_video(METHOD, *videos, offset=0.08, codec='ffv1')
    assert (done.frames, done.unpaired_a, done.unpaired_b) == (4, [1, 2], [5, 6])
    assert next(VideoFile(done.path).read()).time == 0
    with pytest.raises(DataError, match='No frame'):
        fuse_video(METHOD, *videos, offset=9)


def folder(path, images, names='f{:05d}.png'):
    for number, image in enumerate(images, 1):
        write_image(path / names.format(number), image)
    return path


def test_folders_of_frames(tmp_path, videos, frames):
    ir, vi = folder(tmp_path / 'ir', frames[0], 'ir_{}.png'), folder(tmp_path / 'vi', frames[1], 'vi_{}.png')
    with pytest.raises(ConfigError, match='frame-rate'):
        fuse_video(METHOD, ir, vi, videos[2])
    done = fuse_video(METHOD, ir, vi, videos[2], frame_rate='30000/1001', codec='ffv1')
    both = list(VideoFile(done.path).read())
    assert len(both) == 6 and VideoFile(done.path).rate == Fraction(30000, 1001)
    mixed = fuse_video(METHOD, videos[0], vi, tmp_path / 'mixed.mkv', codec='ffv1')
    for one, other in zip(both, VideoFile(mixed.path).read(), strict=True):
        assert np.array_equal(one.image, other.image)


def test_frames_go_into_a_folder_and_back(videos, tmp_path, frames, capsys):
    """Video to folder, folders to folder, folders to video: the same pictures; 16 bits hold what 8 bits round."""
    done = fuse_video(METHOD, *videos[:2], f'{tmp_path}/frames/')
    paths = [tmp_path / f'frames/{number:05d}.png' for number in range(1, 7)]
    assert sorted((tmp_path / 'frames').iterdir()) == paths and done.path == tmp_path / 'frames' and done.rate == 25
    fuser = Fuser(METHOD)
    for path, image_a, image_b in zip(paths, *frames, strict=True):
        assert np.array_equal(read_image(path), fuser(image_a, image_b[..., ::-1]).colour)
    ir, vi = folder(tmp_path / 'ir', frames[0], 'ir_{}.png'), folder(tmp_path / 'vi', frames[1], 'vi_{}.png')
    (ir / 'ir_3.png').unlink()
    command = ['fuse', METHOD, str(ir), str(vi), '--frame-rate', '25', '-o']
    assert main([*command, f'{tmp_path}/both/f_%03d.tif', '--depth', '16']) == 0
    assert f'Wrote 5 frames (25 a second) to {tmp_path}/both: ' in capsys.readouterr().out
    assert sorted(path.name[4:] for path in (tmp_path / 'both').iterdir()) == [f'{n}.tif' for n in (1, 2, 4, 5, 6)]
    for number in (1, 6):
        deep = read_image(tmp_path / f'both/f_00{number}.tif')
        assert deep.dtype == np.uint16 and np.abs(deep / 257 - read_image(paths[number - 1])).max() <= 1
    scores = score_sequence(tmp_path / 'frames', *videos[:2], metrics=['Flicker', 'EN'])
    assert len(scores.rows) == 6
    back = fuse_video('average', tmp_path / 'frames', tmp_path / 'both', tmp_path / 'back.mkv', frame_rate=25)
    assert [frame.time for frame in VideoFile(back.path).read()] == [Fraction(n, 25) for n in (0, 1, 3, 4, 5)]
    for arguments, problem in (([f'{tmp_path}/frames/'], 'frames exists; frames are written to a new folder'),
                               ([f'{tmp_path}/new/', '--codec', 'ffv1'], 'Pictures have no video codec'),
                               ([f'{tmp_path}/new/', '--suffix', '.jpg', '--depth', '16'], 'with 16 bits'),
                               ([f'{tmp_path}/new.mp4', '--suffix', '.png'], 'The suffix .png is for pictures'),
                               ([f'{tmp_path}/new.png'], 'one picture, but there are many frames'),
                               ([f'{tmp_path}/new.mp4', '--depth', '16'], 'Videos are written with 8 bits')):
        assert main([*command, *arguments]) == 2 and problem in capsys.readouterr().err
    assert not (tmp_path / 'new').exists()


def test_sound_does_not_go_into_a_folder(tmp_path, frames, videos, caplog):
    write_toy_video(tmp_path / 'loud.mp4', frames[1], codec='libx264', sound='aac', seconds=0.24)
    assert not fuse_video('average', videos[0], tmp_path / 'loud.mp4', f'{tmp_path}/x/').sound
    assert 'loud.mp4 is left out, because pictures have none' in caplog.text


def test_the_shape_of_pixels_stays(tmp_path, frames, videos):
    wide, turned = Fraction(16, 15), tmp_path / 'turned.mp4'
    sources = [tmp_path / 'ir.mp4', tmp_path / 'vi.mp4']
    for path, images in zip(sources, frames, strict=True):
        write_toy_video(path, images, codec='libx264', aspect=wide)
    for out, codec in (('fused.mp4', ''), ('fused.mkv', ''), ('lossless.mp4', 'ffv1'), ('fused.mov', '')):
        assert VideoFile(fuse_video('average', *sources, tmp_path / out, codec=codec).path).aspect == wide
    with pytest.raises(DataError, match=r'A \.mkv file with ffv1 cannot say that its pixels are 16:15'):
        fuse_video('average', *sources, tmp_path / 'x.mkv', codec='ffv1')
    square = tmp_path / 'square.mp4'
    write_toy_video(square, frames[1], codec='libx264', aspect=Fraction(1))
    with pytest.raises(DataError, match=r'square\.mp4 are 1:1(?s:.)*scale=iw\*sar'):
        fuse_video('average', sources[0], square, tmp_path / 'x.mp4')
    assert VideoFile(fuse_video('average', sources[0], videos[1], tmp_path / 'said.mp4').path).aspect == wide
    ir = folder(tmp_path / 'ir', frames[0])
    assert VideoFile(fuse_video('average', ir, sources[1], tmp_path / 'mixed.mp4').path).aspect == wide
    upright = [np.rot90(image) for image in frames[1]]  # a phone's video: stored turned, shown upright
    write_toy_video(turned, list(map(np.ascontiguousarray, upright)), codec='libx264', rotation=-90, aspect=1 / wide)
    fused = VideoFile(fuse_video('average', sources[0], turned, tmp_path / 'upright.mp4').path)
    assert fused.aspect == wide and next(fused.read()).image.shape == frames[1][0].shape
    assert not list(tmp_path.glob('x.*'))


def test_a_missing_number_is_a_gap(tmp_path, videos, frames, caplog):
    ir = folder(tmp_path / 'ir', frames[0])
    (ir / 'f00003.png').unlink()
    for _ in range(2):  # every run notes it
        caplog.clear()
        done = fuse_video(METHOD, ir, videos[1], videos[2], frame_rate=25)
        assert 'lacks 1 of its numbers' in caplog.text
    assert done.unpaired_b == [3]
    assert [frame.time for frame in VideoFile(done.path).read()] == [Fraction(n, 25) for n in (0, 1, 3, 4, 5)]


def test_errors_leave_nothing(videos, tmp_path, frames):
    ir, vi, out = videos
    write_toy_video(vi, frames[1] * 8)
    write_toy_video(ir, frames[0] * 8)
    vi.write_bytes(vi.read_bytes()[:vi.stat().st_size * 2 // 3])
    with pytest.raises(DataError, match=r'vi\.mkv'):
        fuse_video(METHOD, *videos)
    assert not list(out.parent.iterdir())
    with pytest.raises(DataError, match='single picture'):
        fuse_video(METHOD, ir, folder(tmp_path / 'p', frames[0]) / 'f00001.png', out)
    with pytest.raises(DataError, match='an input'):
        fuse_video(METHOD, ir, vi, ir)
    with pytest.raises(DataError, match='No video or folder'):
        fuse_video(METHOD, ir, tmp_path / 'none.mp4', out)
    for options, problem in ((dict(describe=0), 'a number of frames'), (dict(offset=float('nan')), 'offset is nan'),
                             (dict(fit='stretch'), "rule 'stretch'"), (dict(frame_rate=0), '0 is no frame rate'),
                             (dict(frame_rate=25), '--frame-rate has no effect'),
                             (dict(register='rigid'), 'not registered')):
        with pytest.raises(ConfigError, match=problem):
            fuse_video(METHOD, ir, vi, out, **options)


def test_what_is_fused_as_a_video(videos, tmp_path):
    ir, vi, out = videos
    assert wants_video([ir, vi], out) and wants_video([tmp_path, vi], 'x') and wants_video([tmp_path] * 2, 'a.MP4')
    assert not wants_video([tmp_path] * 2, 'a.png') and not wants_video([tmp_path / 'a.gif', tmp_path], 'fused')


class Letters(nn.Module):
    """A text encoder of one token of two numbers for each letter."""

    version, dim = '1', 2

    def encode(self, texts):
        length = max(map(len, texts))
        codes = torch.tensor([[*map(ord, text), *[0] * (length - len(text))] for text in texts]) / 128
        return TextFeatures(torch.stack([codes, codes.sin()], -1), codes > 0)


class Worded(nn.Module):
    """The mean of the sources, moved by the mean of a text's tokens."""

    text_dim = 2

    def forward(self, source_a, source_b, text=None, text_mask=None):
        return ((source_a + source_b) / 2 + 0.1 * text.mean((1, 2))[:, None, None, None]).clamp(0, 1)


@pytest.fixture
def worded(tmp_path, monkeypatch):
    """The config of a model that reads descriptions."""
    monkeypatch.setitem(BACKBONES.module_dict, 'Worded', Worded)
    monkeypatch.setitem(TEXT_ENCODERS.module_dict, 'Letters', Letters)
    language = dict(store=str(tmp_path / 'store'), captioners=[dict(type='MeasuredCaptioner')], prompt='paragraph',
                    llm=dict(type='TemplateLLM'), encoder=dict(type='Letters'))
    (tmp_path / 'worded.py').write_text(f"task = 'ivf'\nprotocol = 'plain'\nlanguage = {language}\n"
                                        "model = dict(type='FusionModel', backbone=dict(type='Worded'))\n")
    return tmp_path / 'worded.py'


def test_words_of_every_second_frame_or_where_the_scene_changes(worded, videos, tmp_path, frames, capsys):
    done = fuse_video(worded, *videos, describe=2, codec='ffv1', trust=True)
    assert list(done.words) == [1, 3, 5] and done.words[1].keys() == {'infrared', 'visible'}
    fuser, fused = Fuser(worded, trust=True), list(VideoFile(done.path).read())
    for number in range(6):
        described = 2 * (number // 2)
        files = [tmp_path / f'{described} {side}.png' for side in 'ab']
        for path, images in zip(files, frames, strict=True):
            write_image(path, images[described])
        text = fuser.texts.features(Pair('x', *files, 'infrared', 'visible'), {})
        expected = fuser(frames[0][number], frames[1][number][..., ::-1], text)
        assert np.array_equal(fused[number].image, expected.colour)
    write_toy_video(videos[1], frames[1][:3] + [255 - image for image in frames[1][3:]])
    assert main(['fuse', str(worded), *map(str, videos[:2]), '-o', str(videos[2]), '--describe',
                 '--trust-checkpoint']) == 0
    said = capsys.readouterr().out
    assert [f'frame {number}, visible:' in said for number in range(1, 7)] == [True, False, False, True, False, False]


def test_command_line(videos, tmp_path, capsys, frames):
    write_toy_video(videos[0], frames[0][:4], 25)
    command = ['fuse', METHOD, *map(str, videos[:2]), '-o', str(videos[2])]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert f'Wrote 4 frames (0.16 s) to {videos[2]}: ' in said and 'frames/s' in said
    assert f'2 frames of source B ({videos[1]}) have no partner and were left out: 5-6.' in said
    for options, problem in ((['--names', 'a'], '--names has no effect on videos'),
                             (['--onto', 'b'], '--onto has no effect on videos'),
                             (['--codec', 'h265'], "Unknown video codec 'h265'"),
                             (['--frame-rate', 'fast'], "'fast' is no frame rate")):
        assert main([*command, *options]) == 2
        assert problem in capsys.readouterr().err
    assert main([*command[:4], str(videos[1]), *command[4:]]) == 2
    assert 'Videos are fused in pairs, but 3 sources were given' in capsys.readouterr().err
    for sources in (['a'], ['a', 'b', 'c']):
        stacks = [f'{tmp_path}/{name}' for name in sources]
        assert main(['fuse', METHOD, *stacks, '--frame-rate', '25', '-o', 'x/']) == 2
        assert '--frame-rate makes' in (problem := capsys.readouterr().err) and 'leave --frame-rate out' in problem
    pictures = ['fuse', METHOD, *(str(folder(tmp_path / name, frames[0]) / 'f00001.png') for name in 'xy'), '-o',
                str(tmp_path / 'z.png')]
    for options, problem in ((['--codec', 'ffv1'], '--codec has no effect on pictures'),
                             (['--describe', 'scene'], '--describe scene is for videos')):
        assert main([*pictures, *options]) == 2
        assert problem in capsys.readouterr().err


@pytest.mark.slow  # starts a process that loads torch
def test_a_killed_run_leaves_no_video(videos, tmp_path, frames):
    for path, images in zip(videos, frames, strict=False):
        write_toy_video(path, images * 100)
    process = subprocess.Popen([sys.executable, '-m', 'vlfusion', 'fuse', METHOD, *map(str, videos[:2]), '-o',
                                str(tmp_path / 'fused.mp4')])
    deadline = time.monotonic() + 120
    while not any(path.stat().st_size for path in tmp_path.glob('.vlfusion-*.partial')):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / 'fused.mp4').exists()
    fuse_video(METHOD, *videos[:2], tmp_path / 'other.mkv', offset=23.9)
    assert not list(tmp_path.glob('.vlfusion-*'))  # removed by the next run there
