"""The sample pairs: the same bytes every time, no network, and two sources that each know something the other lacks."""

import json
import socket
import sys
from argparse import ArgumentParser
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

from vlfusion.cli import prepare_data
from vlfusion.data import sample
from vlfusion.data.sample import make_sample
from vlfusion.errors import ConfigError, DataError, VLFusionError
from vlfusion.imaging.images import luminance, read_image

pytest.importorskip('nilearn')
pytest.importorskip('skimage')

CONFIGS = Path(__file__).parents[2] / 'configs/_base_/datasets'
FOLDERS = {'ivf': ('ir', 'vi'), 'mif': ('MRI', 'PET'), 'mef': ('over', 'under'), 'mff': ('near', 'far')}
SMALL = {'count': 2, 'size': 64}


def refuse(*args, **kwargs):
    raise AssertionError(f'network access: {args}')


@pytest.fixture(scope='module')
def made(tmp_path_factory) -> Path:
    """A sample folder of the usual size, made with every socket closed."""
    out = tmp_path_factory.mktemp('sample') / 'pairs'
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, 'socket', refuse)
        patch.setattr(socket, 'getaddrinfo', refuse)
        assert make_sample(out, count=4)
    return out


def pairs(made: Path, task: str) -> list[tuple[np.ndarray, np.ndarray]]:
    a, b = FOLDERS[task]
    files = sorted(made.glob(f'{task}/*/{a}/sim_*.png'))
    assert len(files) == 6
    return [(read_image(file), read_image(file.parents[1] / b / file.name)) for file in files]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def sharpness(image: np.ndarray) -> np.ndarray:
    """The energy of fine detail, but for pixel noise, around each pixel."""
    detail = cv2.Laplacian(cv2.GaussianBlur(luminance(image), (0, 0), 1), cv2.CV_32F)
    return cv2.GaussianBlur(detail ** 2, (0, 0), 6)


@pytest.mark.slow
@pytest.mark.parametrize('task', FOLDERS)
def test_pairs_of_a_task(made, task):
    for split, count in (('train', 4), ('test', 2)):
        names = [{path.name for path in (made / task / split / folder).iterdir()} for folder in FOLDERS[task]]
        assert names[0] == names[1] and len(names[0]) == count
    assert not {path.name for path in made.glob(f'{task}/train/*/*')} & {path.name for path in
                                                                         made.glob(f'{task}/test/*/*')}
    for image_a, image_b in pairs(made, task):
        assert image_a.shape[:2] == image_b.shape[:2] == (128, 128)
        assert image_a.dtype == image_b.dtype == np.uint8
        assert (image_a.ndim == 2) == (task in ('ivf', 'mif')) and image_b.ndim == 3
        assert image_b.std(axis=2).max() > 20  # colour, not grey three times
        assert np.abs(luminance(image_a) - luminance(image_b)).mean() > 0.005


@pytest.mark.slow
def test_medical_pairs_show_one_brain_in_the_middle(made):
    for mri, pet in pairs(made, 'mif'):
        brain = mri > 40
        rows, columns = np.nonzero(brain)
        assert abs(columns.mean() - 63.5) < 2 and abs(rows.mean() - 63.5) < 12
        assert 0.1 < brain.mean() < 0.6
        assert luminance(pet)[brain].mean() > 10 * luminance(pet)[cv2.dilate(mri, np.ones((21, 21))) < 40].mean()


def test_spect_is_a_second_functional_image(made):
    pet, spect = (sorted(made.glob(f'mif/*/{folder}/*.png')) for folder in ('PET', 'SPECT'))
    assert [path.name for path in pet] == [path.name for path in spect]
    assert not np.array_equal(read_image(pet[0]), read_image(spect[0]))


def test_infrared_shows_what_the_night_hides(made):
    for infrared, visible in pairs(made, 'ivf'):
        horse = cv2.erode((infrared > 150).astype(np.uint8), np.ones((3, 3))) > 0
        around = (cv2.dilate(horse.astype(np.uint8), np.ones((15, 15))) > 0) & (infrared < 120)
        grey = luminance(visible)
        assert 0.02 < horse.mean() < 0.3
        assert infrared[horse].mean() - infrared[around].mean() > 100
        assert abs(grey[horse].mean() - grey[around].mean()) < 0.15
        assert np.median(sharpness(visible)) > 3 * np.median(sharpness(infrared))


def test_exposures_are_ordered_and_each_keeps_what_the_other_loses(made):
    for over, under in pairs(made, 'mef'):
        assert (over >= under).all() and over.mean() > 1.5 * under.mean()
        assert under.max() < 255
    levels = [(len(np.unique(over[under > 128])), len(np.unique(under[under > 128]))) for over, under in
              pairs(made, 'mef') if (under > 128).any()]
    assert levels and all(bright < dark for bright, dark in levels)


def test_each_focus_is_sharper_in_its_own_region(made):
    for near, far in pairs(made, 'mff'):
        difference = sharpness(near) - sharpness(far)
        assert difference[-32:].mean() > 0 > difference[:32].mean()


def test_the_same_bytes_again_and_nothing_to_do_the_third_time(tmp_path):
    assert make_sample(tmp_path / 'one', **SMALL) and make_sample(tmp_path / 'two', **SMALL)
    assert contents(tmp_path / 'one') == contents(tmp_path / 'two')
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / 'one').rglob('*')}
    assert not make_sample(tmp_path / 'one', **SMALL)
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / 'one').rglob('*')}
    assert sorted(path.name for path in tmp_path.iterdir()) == ['one', 'two']


def test_a_damaged_or_outdated_folder_is_made_anew(tmp_path):
    out = tmp_path / 'pairs'
    make_sample(out, **SMALL)
    whole = contents(out)
    next(out.glob('mif/train/PET/*.png')).write_bytes(b'')
    next(out.glob('ivf/train/vi/*.png')).unlink()
    assert make_sample(out, **SMALL) and contents(out) == whole
    assert make_sample(out, count=1, size=32)
    assert json.loads((out / 'manifest.json').read_text())['size'] == 32
    assert len(list(out.glob('mff/train/near/*'))) == 1


def test_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / 'photo.png').write_bytes(b'mine')
    (tmp_path / 'manifest.json').write_text('{"made_by": "somebody else"}')
    with pytest.raises(DataError, match='was not made by'):
        make_sample(tmp_path, **SMALL)
    assert contents(tmp_path).keys() == {'photo.png', 'manifest.json'}
    with pytest.raises(DataError, match='was not made by'):
        make_sample(tmp_path / 'photo.png', **SMALL)


def test_files_that_a_user_added_are_never_lost(tmp_path):
    out = tmp_path / 'pairs'
    make_sample(out, count=1, size=32)
    (out / 'mine.txt').write_text('notes')
    assert not make_sample(out, count=1, size=32)
    with pytest.raises(DataError, match='mine.txt'):
        make_sample(out, **SMALL)
    assert (out / 'mine.txt').read_text() == 'notes'


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def break_down(*args):
        raise RuntimeError('disk full')
    monkeypatch.setitem(sample.SIMULATORS, 'mff', break_down)
    with pytest.raises(RuntimeError):
        make_sample(tmp_path / 'pairs', count=1, size=32)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('wrong', [{'count': 0}, {'count': 76}, {'size': 16}])
def test_settings_out_of_range(tmp_path, wrong):
    with pytest.raises(ConfigError, match='Expected'):
        make_sample(tmp_path / 'pairs', **wrong)


def test_every_slice_is_used_once_at_most():
    drawn = {sample._medical(index, 'train', 32, np.random.default_rng(index))[0] for index in range(100)}
    assert len(drawn) == 100


def test_an_absent_package_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, 'path', [])  # importlib.metadata looks there, too
    with pytest.raises(VLFusionError, match=r"pip install 'vlfusion\[sample\]'"):
        make_sample(tmp_path / 'pairs')


def test_readme_says_simulated_and_names_every_picture(made):
    text = (made / 'README.md').read_text()
    assert 'no result on them means anything' in text and 'Not for any clinical use' in text
    pictures = {name.split('.')[0] for names in sample.PHOTOS.values() for name in names}
    for picture in pictures | {'brick', 'grass', 'gravel', 'horse'}:
        assert f'`{picture}`' in text


def run(*argv: str) -> int:
    parser = ArgumentParser()
    prepare_data.add_arguments(parser)
    return prepare_data.run(parser.parse_args(argv))


def test_sample_on_the_command_line(tmp_path, capsys):
    argv = ('sample', '--out', str(tmp_path / 'pairs'), '--count', '1', '--size', '32')
    assert run(*argv) == 0 and 'Simulated pairs' in capsys.readouterr().out
    assert run(*argv) == 0 and 'already contains' in capsys.readouterr().out


@pytest.mark.parametrize('task', FOLDERS)
def test_hdf5_on_the_command_line_with_the_config_of_a_task(made, tmp_path, task):
    config, out = tmp_path / 'config.py', tmp_path / 'pairs.h5'
    config.write_text(f'_base_ = {str(CONFIGS / f"sample_{task}.py")!r}\n'
                      f'data_root = {str(made / task)!r}\n'
                      'train_dataloader = dict(dataset=dict(text_source=None))\n'
                      'test_dataloader = dict(dataset=dict(text_source=None))\n')
    assert run('hdf5', str(config), '--split', 'test', '--out', str(out)) == 0
    pictures = sorted((made / task / 'test' / FOLDERS[task][0]).iterdir())
    with h5py.File(out) as file:
        assert list(file['imageA']) == list(file['imageB']) == [path.stem for path in pictures]
        assert np.array_equal(file['imageA'][pictures[0].stem][0], luminance(read_image(pictures[0])))
    assert run('hdf5', str(config), '--out', str(out)) == 0  # the training pairs, cropped
    with h5py.File(out) as file:
        assert {image.shape for image in file['imageA'].values()} == {(1, 64, 64)}


def test_hdf5_of_a_split_that_a_config_lacks(tmp_path):
    config = tmp_path / 'config.py'
    config.write_text("task = 'mif'")
    with pytest.raises(ConfigError, match='no train_dataloader'):
        run('hdf5', str(config), '--out', str(tmp_path / 'pairs.h5'))
