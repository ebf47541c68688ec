"""Folders on the page: pairs by name, errors that name what has no partner, a zip of pictures and their record."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import vlfusion
from vlfusion.app.batch import fuse_folders
from vlfusion.app.models import Settings
from vlfusion.app.pair import Refused
from vlfusion.files import file_digest
from vlfusion.imaging.images import read_image
from vlfusion.testing.toys import draw_pairs

IVF = Settings('laplacian', 'infrared', 'visible')


@pytest.fixture
def folders(tmp_path):
    draw_pairs(tmp_path / 'data', ['1', '2'])
    return tmp_path / 'data'


def files(folders, source):
    return sorted((folders / source).iterdir())


def pack(path, pictures):
    with zipfile.ZipFile(path, 'w') as archive:
        for name, picture in pictures.items():
            archive.write(picture, name)
    return path


def unpacked(archive, tmp_path):
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(tmp_path / 'out')
        return sorted(opened.namelist())


def test_a_folder_and_an_archive_are_fused_like_the_command(models, folders, tmp_path, limits):
    archive = pack(tmp_path / 'vi.zip', {f'vi/{path.name}': path for path in files(folders, 'vi')})
    steps = []
    done = fuse_folders(models, IVF, files(folders, 'ir'), [archive], tmp_path / 'work', limits,
                        lambda *step: steps.append(step))
    assert done.fused == ['1', '2'] and done.failed == {} and done.notes == []
    assert done.command == 'vlfusion fuse laplacian A/ B/ -o fused/' and steps[0] == ('Fusing', 0, 2)
    assert steps[-1] == ('Fusing', 2, 2) and [name for _, name in done.shown] == ['1', '2']
    assert unpacked(done.archive, tmp_path) == ['1.png', '2.png', 'fused.json']
    vlfusion.fuse('laplacian', folders / 'ir', folders / 'vi', tmp_path / 'command')
    for name in ('1.png', '2.png'):
        assert (tmp_path / 'out' / name).read_bytes() == (tmp_path / 'command' / name).read_bytes()
    record = json.loads((tmp_path / 'out/fused.json').read_text())
    assert record['model'] == 'laplacian' and record['failed'] == []
    assert [pair['fused'] for pair in record['pairs']] == [file_digest(tmp_path / f'out/{name}.png') for name in '12']
    assert record['pairs'][1]['source_a'] == file_digest(folders / 'ir/2.png')


def test_what_has_no_partner_is_named(models, folders, tmp_path, limits):
    (folders / 'vi/2.png').rename(folders / 'vi/3.png')
    with pytest.raises(Refused) as error:
        fuse_folders(models, IVF, files(folders, 'ir'), files(folders, 'vi'), tmp_path / 'work', limits)
    assert 'A/2.png' in str(error.value) and 'B/3.png' in str(error.value) and '--names' not in str(error.value)
    assert not any(str(place) in str(error.value) for place in (tmp_path, Path.cwd()))


def test_folders_in_an_archive_are_part_of_the_names(models, folders, tmp_path, limits):
    archives = [pack(tmp_path / f'{source}.zip', {f'{night}/{source}.png': folders / source / f'{night}.png'
                                                  for night in '12'}) for source in ('ir', 'vi')]
    with pytest.raises(Refused):  # the files of a pair share no name
        fuse_folders(models, IVF, archives[:1], archives[1:], tmp_path / 'work', limits)
    archives = [pack(tmp_path / f'{source} 2.zip', {f'{night}/a.png': folders / source / f'{night}.png'
                                                    for night in '12'}) for source in ('ir', 'vi')]
    done = fuse_folders(models, IVF, archives[:1], archives[1:], tmp_path / 'again', limits)
    assert unpacked(done.archive, tmp_path) == ['1/a.png', '2/a.png', 'fused.json']


def test_a_pair_that_fails_is_named_and_the_others_are_fused(models, folders, tmp_path, limits):
    cv2.imwrite(str(folders / 'vi/2.png'), np.zeros((20, 20), np.uint8))
    done = fuse_folders(models, IVF, files(folders, 'ir'), files(folders, 'vi'), tmp_path / 'work', limits)
    assert done.fused == ['1'] and 'B/2.png is 20x20' in done.failed['2'] and str(tmp_path) not in done.failed['2']
    assert '--fit' not in done.failed['2'] and 'whether to resize or crop' in done.failed['2']
    unpacked(done.archive, tmp_path)
    record = (tmp_path / 'out/fused.json').read_text()
    assert '2.png' not in record, 'a record identifies files by their digests'
    assert [pair['source_b'] for pair in json.loads(record)['failed']] == [file_digest(folders / 'vi/2.png')]
    resized = fuse_folders(models, replace(IVF, fit='resize'), files(folders, 'ir'), files(folders, 'vi'),
                           tmp_path / 'resized', limits)
    assert resized.fused == ['1', '2'] and any('resized' in note for note in resized.notes)
    assert not any(str(tmp_path) in note for note in resized.notes)
    Path(folders / 'vi/1.png').write_bytes(files(folders, 'vi')[0].read_bytes()[:99])
    with pytest.raises(Refused):
        fuse_folders(models, IVF, files(folders, 'ir'), files(folders, 'vi'), tmp_path / 'none', limits)


def test_registration_holds_for_each_pair(models, folders, tmp_path, limits):
    pytest.importorskip('SimpleITK', reason="pip install 'vlfusion[registration]'")
    for name in '12':
        image = read_image(folders / f'ir/{name}.png')
        cv2.imwrite(str(folders / f'vi/{name}.png'), np.roll(image, int(name) + 3, axis=1))
    done = fuse_folders(models, replace(IVF, register='rigid'), files(folders, 'ir'), files(folders, 'vi'),
                        tmp_path / 'work', limits)
    unpacked(done.archive, tmp_path)
    pairs = json.loads((tmp_path / 'out/fused.json').read_text())['pairs']
    assert [pair['alignment'].partition(' pixels')[0] for pair in pairs] == [
        'misaligned by 4.0', 'misaligned by 5.0']
