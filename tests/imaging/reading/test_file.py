"""Files that are absent, empty or not regular are refused."""

import gzip
import os

import pytest

from vlfusion.errors import DataError
from vlfusion.imaging.reading.file import identify, read_file, unreadable
from vlfusion.imaging.reading.image import read_image


def test_a_dead_link_names_its_target(tmp_path):
    (tmp_path / 'a.png').symlink_to(tmp_path / 'gone/b.png')
    with pytest.raises(DataError, match=r'a\.png is a dead link: it points to .*gone/b\.png, which does not exist'):
        read_file(tmp_path / 'a.png')


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / 'pipe.png')
    (tmp_path / 'folder.png').mkdir()
    (tmp_path / 'device.png').symlink_to('/dev/zero')
    for name, kind in (('pipe', 'a pipe'), ('device', 'a device'), ('folder', 'a folder')):
        with pytest.raises(DataError, match=f'{name}.png: it is .*{kind}'):
            read_file(tmp_path / f'{name}.png')


def test_absent_and_empty_files(tmp_path):
    with pytest.raises(DataError, match='absent.png: No such file'):
        read_file(tmp_path / 'absent.png')
    (tmp_path / 'empty.png').touch()
    with pytest.raises(DataError, match='empty, 0 bytes'):
        read_file(tmp_path / 'empty.png')


def test_a_file_is_read_whole(tmp_path):
    (tmp_path / 'a').write_bytes(b'content')
    assert read_file(tmp_path / 'a') == b'content' and unreadable(tmp_path / 'a') is None


NIFTI = bytes(344) + b'n+1\0'
MP4 = b'\0\0\0\x20ftypisom' + bytes(64)


@pytest.mark.parametrize(('name', 'content', 'what', 'remedy'), [
    ('a.png', b'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n', 'Git LFS', 'git lfs pull'),
    ('a.nii', NIFTI, 'NIfTI', 'slices'), ('a.nii.gz', gzip.compress(NIFTI, mtime=0), 'NIfTI', 'slices'),
    ('ct.dcm', bytes(128) + b'DICM', 'DICOM', 'two volumes or two DICOM series'),
    ('IM0001', bytes(128) + b'DICM', 'DICOM', 'slices'),
    ('old', b'\x08\0\5\0CS\n\0ISO_IR 100', 'DICOM', 'slices'), ('a.nrrd', b'NRRD0004\n', 'NRRD', 'slices'),
    ('a.mp4', MP4, 'video', 'ffmpeg'), ('a.mov', b'\0\0\0\x14ftypqt  ', 'video', 'ffmpeg'),
    ('a.avi', b'RIFF\0\0\0\0AVI LIST', 'video', 'ffmpeg'), ('a.mkv', b'\x1aE\xdf\xa3', 'video', 'ffmpeg'),
    ('a.heic', b'\0\0\0\x18ftypheic', 'HEIF', 'PNG'), ('a.npy', b'\x93NUMPY\1\0', 'NumPy', 'TIFF'),
    ('a.mat', b'MATLAB 5.0 MAT-file', 'MATLAB', 'TIFF'), ('a.h5', b'\x89HDF\r\n\x1a\n', 'HDF5', 'Hdf5PairDataset'),
    ('a.jpg', b'<!DOCTYPE html>', 'web page', 'Download'), ('a.zip', b'PK\3\4', 'zip', 'Unpack'),
    ('a.gz', gzip.compress(b'anything', mtime=0), 'gzip', 'Unpack'), ('a.fits', b'SIMPLE  =', 'FITS', 'slices'),
    ('a.eps', b'%!PS-Adobe-3.0', 'PostScript', 'PNG'), ('a.tga', bytes(2) + b'\2', 'Targa', 'PNG'),
    ('a.ico', b'\0\0\1\0\1\0', 'icon', 'PNG'), ('a.exr', b'v/1\x01', 'OpenEXR', 'PNG')])
def test_what_is_no_image_is_named(tmp_path, name, content, what, remedy):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as error:
        read_image(tmp_path / name)
    assert what in error.value.problem and remedy in error.value.remedy


def test_unknown_bytes_are_not_named():
    assert identify('a.png', b'anything else') is None and identify('a.jpg', b'') is None
