"""Uploads: what is too large, leads out of an archive or is no picture is refused before it is decoded."""

import struct
import zipfile

import cv2
import numpy as np
import pytest

from vlfusion.app.limits import Limits, check_picture, check_volume, gather, show_left_out
from vlfusion.errors import DataError


def pack(path, **files):
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def png(uploads):
    return uploads[0].read_bytes()


@pytest.mark.parametrize('ending', ['.png', '.jpg', '.bmp', '.tif', '.pgm', '.webp'])
def test_a_size_is_read_from_the_header(ending, tmp_path, limits):
    path = tmp_path / f'picture{ending}'
    cv2.imwrite(str(path), np.zeros((30, 40), np.uint8))
    assert check_picture(path, limits) == (30, 40)
    with pytest.raises(DataError, match='has 40x30 pixels; this page takes 1,199'):
        check_picture(path, Limits(pixels=1199))


def test_a_picture_of_many_pixels_is_not_decoded(bomb, limits, monkeypatch):
    monkeypatch.setattr(cv2, 'imdecode', None)
    assert bomb.stat().st_size < 10_000
    with pytest.raises(DataError, match='1000x1000 pixels'):
        check_picture(bomb, limits)


def test_what_is_no_picture_is_refused(tmp_path, limits):
    path = tmp_path / 'broken.png'
    path.write_bytes(b'no picture')
    with pytest.raises(DataError, match='no picture that this page can read'):
        check_picture(path, limits)
    path.write_bytes(bytes(2 << 20))
    with pytest.raises(DataError, match=r'has 2.1 MB; this page takes 1.0 MB'):
        check_picture(path, limits)


def test_a_volume_is_judged_by_its_header(tmp_path, limits):
    nibabel = pytest.importorskip('nibabel', reason="pip install 'vlfusion[app]'")
    for shape in ((20, 20, 20), (50, 50, 50)):
        nibabel.Nifti1Image(np.zeros(shape, np.uint8), np.eye(4)).to_filename(tmp_path / f'{shape[0]}.nii.gz')
    check_volume(tmp_path / '20.nii.gz', limits)
    with pytest.raises(DataError, match='50x50x50 voxels; this page takes 50,000'):
        check_volume(tmp_path / '50.nii.gz', limits)
    (tmp_path / 'broken.nii').write_bytes(b'broken')
    with pytest.raises(DataError, match='Cannot read'):
        check_volume(tmp_path / 'broken.nii', limits)


def test_pictures_and_archives_give_the_same_folder(png, uploads, tmp_path, limits):
    archive = pack(tmp_path / 'ir.zip', **{'IR/a/1.png': png, 'IR/a/2.png': png, 'IR/a/notes.txt': 'x',
                                           '__MACOSX/IR/._1.png': 'x', 'IR/a/.DS_Store': 'x'})
    assert gather([archive], tmp_path / 'A', limits) == ['IR/a/notes.txt']
    assert sorted(path.name for path in (tmp_path / 'A').rglob('*')) == ['1.png', '2.png']
    assert gather(uploads[:1], tmp_path / 'B', limits) == []
    assert (tmp_path / 'B/street.png').read_bytes() == png
    assert 'notes.txt' in show_left_out(['notes.txt']) and show_left_out([]) == ''


@pytest.mark.parametrize('name', ['../out.png', '/etc/out.png', 'a/../../out.png', 'C:/out.png', 'a\\..\\out.png'])
def test_no_file_leaves_the_archive(name, png, tmp_path, limits):
    with zipfile.ZipFile(tmp_path / 'slip.zip', 'w') as archive:
        info = zipfile.ZipInfo('x')
        info.filename = name
        archive.writestr(info, png)
    with pytest.raises(DataError, match='leads out of the archive'):
        gather([tmp_path / 'slip.zip'], tmp_path / 'deep/A', limits)
    assert not list(tmp_path.rglob('out.png'))


def test_links_and_secrets_are_refused(png, tmp_path, limits):
    with zipfile.ZipFile(tmp_path / 'link.zip', 'w') as archive:
        info = zipfile.ZipInfo('1.png')
        info.external_attr = 0o120777 << 16
        archive.writestr(info, '/etc/passwd')
    with pytest.raises(DataError, match='is a link'):
        gather([tmp_path / 'link.zip'], tmp_path / 'A', limits)
    content = bytearray(pack(tmp_path / 'plain.zip', **{'1.png': png}).read_bytes())
    for start, offset in ((b'PK\3\4', 6), (b'PK\1\2', 8)):
        content[content.index(start) + offset] |= 1
    (tmp_path / 'secret.zip').write_bytes(content)
    with pytest.raises(DataError, match='is encrypted'):
        gather([tmp_path / 'secret.zip'], tmp_path / 'B', limits)


def test_an_archive_cannot_unpack_to_more_than_the_limit(tmp_path, limits):
    zeros = bytes(limits.unpacked + 1)
    path = pack(tmp_path / 'bomb.zip', **{'1.png': zeros})
    assert path.stat().st_size < 10_000
    with pytest.raises(DataError, match=r'take 4.2 MB unpacked; this page takes 4.2 MB'):
        gather([path], tmp_path / 'A', limits)
    content = bytearray(path.read_bytes())  # a header that understates the size
    place = content.index(b'PK\1\2') + 24
    content[place:place + 4] = struct.pack('<I', 10)
    (tmp_path / 'liar.zip').write_bytes(content)
    with pytest.raises(DataError):
        gather([tmp_path / 'liar.zip'], tmp_path / 'B', limits)
    assert sum(file.stat().st_size for file in (tmp_path / 'B').rglob('*')) <= limits.unpacked


def test_counts_names_and_kinds(png, bomb, uploads, tmp_path, limits):
    many = pack(tmp_path / 'many.zip', **{f'{number}.png': png for number in range(4)})
    for number, (files, said) in enumerate([
            ([many], 'has 4 pictures; this page takes 3'), ([uploads[0], many], 'other files came with it'),
            ([pack(tmp_path / 'empty.zip', **{'a.txt': 'x'})], 'There is no picture in empty.zip'),
            (uploads, 'Two files of .* are called street.png'), ([bomb], '1000x1000 pixels')]):
        with pytest.raises(DataError, match=said):
            gather(files, tmp_path / f'folder {number}', limits)


@pytest.mark.parametrize('method', [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_damaged_archives_are_named(method, png, tmp_path, limits):
    path = tmp_path / 'torn.zip'
    with zipfile.ZipFile(path, 'w', method) as archive:
        archive.writestr('1.png', png)
    whole = path.read_bytes()
    damages = {'truncated': whole[:len(whole) // 2], 'overwritten': whole[:36] + b'\xff' * 40 + whole[76:],
               'shortened': whole[:60] + whole[-400:]}
    for damage, content in damages.items():
        path.write_bytes(content)
        with pytest.raises(DataError, match='The archive torn.zip cannot be unpacked'):
            gather([path], tmp_path / damage, limits)


def test_a_removed_upload_is_asked_for_again(tmp_path, limits):
    with pytest.raises(DataError, match='Upload it again'):
        gather([tmp_path / 'gone.png'], tmp_path / 'A', limits)
