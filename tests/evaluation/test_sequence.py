"""A fused video is scored frame by frame, and from frame to frame."""

import cv2
import numpy as np
import pytest

from vlfusion.cli import main
from vlfusion.errors import ConfigError, DataError
from vlfusion.evaluation.folder import score_folder
from vlfusion.evaluation.rows import read_csv
from vlfusion.evaluation.sequence import score_sequence
from vlfusion.imaging.images import write_image
from vlfusion.testing.videos import write_toy_video

pytest.importorskip('av', reason="pip install 'vlfusion[video]'")


@pytest.fixture
def videos(tmp_path):
    """A fused video and its sources, and folders of the same. In the last frame all is still, but 3 levels brighter."""
    wide = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (44, 60), np.uint8), (0, 0), 3)
    a, b = ([image[:, n:n + 48].copy() for n in (0, 1, 2, 2)] for image in (wide, np.flipud(wide)))
    fused = [cv2.max(*pair) for pair in zip(a, b, strict=True)]
    fused[3] += 3
    for name, images in dict(fused=fused, a=a, b=b).items():
        write_toy_video(tmp_path / f'{name}.mkv', images)
        for number, image in enumerate(images, 1):
            write_image(tmp_path / name / f'{number}.png', image)
    return [tmp_path / f'{name}.mkv' for name in ('fused', 'a', 'b')]


def test_scores_equal_those_of_the_pictures(videos, tmp_path):
    scores = score_sequence(*videos, metrics=['EN', 'MI', 'Flicker'])
    pictures = score_folder(tmp_path / 'fused', tmp_path / 'a', tmp_path / 'b', metrics=['EN', 'MI'])
    for row, picture in zip(scores.rows, pictures.rows, strict=True):
        assert (row['EN'], row['MI:film']) == (picture['EN'], picture['MI:film'])
    assert [row['Flicker'] for row in scores.rows] == [None, 0, 0, 3]
    assert scores.record['summary']['Flicker']['mean'] == 1
    assert [item.name for item in scores.undefined] == ['000001']
    folders = score_sequence(*(tmp_path / path.stem for path in videos), metrics=['EN', 'MI', 'Flicker'], frame_rate=25)
    assert folders.rows == scores.rows and scores.record['inputs']['fused']['files'].keys() == {'fused.mkv'}


def test_numbers_of_the_fused_frames_do_not_move_the_sources(videos, tmp_path):
    for number in (4, 3, 2, 1):
        (tmp_path / f'a/{number}.png').rename(tmp_path / f'a/{number + 4}.png')
    expected = score_sequence(*videos, metrics=['MI'])
    for options in ({}, dict(frame_rate=25)):
        folder = score_sequence(tmp_path / 'fused', tmp_path / 'a', videos[2], metrics=['MI'], **options)
        assert folder.rows == expected.rows


def test_options_are_those_of_folders(videos):
    with pytest.raises(ConfigError, match='at least one worker'):
        score_sequence(*videos, workers=0)
    with pytest.raises(ConfigError, match='no metric'):
        score_sequence(*videos, metrics=[])


def test_command_line(videos, tmp_path, capsys):
    names = [str(path) for path in videos]
    command = ['evaluate', names[0], '--source-a', names[1], '--source-b', names[2], '--out', str(tmp_path / 's.csv')]
    assert main([*command, '--metrics', 'EN', 'Flicker']) == 0
    assert 'Not scored: Flicker of 1 of 4 images (no frame before it)' in capsys.readouterr().out
    assert [row['Flicker'] for row in read_csv(tmp_path / 's.csv')] == [None, 0, 0, 3]
    for options, problem in ((['--controls'], '--controls has no effect on sequences'),
                             (['--frame-rate', '0'], 'is no frame rate')):
        assert main([*command, *options]) == 2
        assert problem in capsys.readouterr().err
    folders = [str(tmp_path / name) for name in ('fused', 'a', 'b')]
    command = ['evaluate', folders[0], '--source-a', folders[1], '--source-b', folders[2], '--out',
               str(tmp_path / 't.csv'), '--metrics', 'EN', '--frame-rate', '25']
    assert main(command) == 2
    assert 'no effect on single images' in capsys.readouterr().err
    assert main([*command, '--sequence']) == 0


def test_what_does_not_belong_together(videos, tmp_path):
    write_toy_video(tmp_path / 'short.mkv', [np.zeros((44, 48), np.uint8)] * 3)
    write_toy_video(tmp_path / 'small.mkv', [np.zeros((20, 48), np.uint8)] * 4)
    with pytest.raises(DataError, match=r'short\.mkv ends after 3'):
        score_sequence(tmp_path / 'short.mkv', *videos[1:])
    with pytest.raises(DataError, match='differ in length'):
        score_sequence(*videos, offset=0.04)
    with pytest.raises(DataError, match=r'small\.mkv is 48x20, but its sources are 48x44'):
        score_sequence(tmp_path / 'small.mkv', *videos[1:])
    with pytest.raises(ConfigError, match='frame-rate'):
        score_sequence(*(tmp_path / path.stem for path in videos))
