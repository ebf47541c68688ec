"""Limits of uploads, checked before anything is decoded or unpacked."""

import lzma
import shutil
import stat
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from vlfusion.errors import DataError, listing, needs
from vlfusion.files import size_in_words, windows_fault
from vlfusion.imaging.images import SUFFIXES
from vlfusion.imaging.reading.file import read_file
from vlfusion.imaging.reading.header import read_header
from vlfusion.imaging.reading.tiff import read_tiff
from vlfusion.volumes.nifti import is_nifti_name

#: Files that operating systems add to zip archives.
_CLUTTER = ('__MACOSX', '.DS_Store', 'Thumbs.db', 'desktop.ini')
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Largest uploads that the page takes.

    Attributes:
        bytes: size of a file; the files of a zip archive together may have four times as much.
        pixels: pixels of a picture.
        files: files of a folder.
        voxels: voxels of a volume.
    """

    bytes: int = 256 << 20
    pixels: int = 24_000_000
    files: int = 1000
    voxels: int = 64_000_000

    @property
    def unpacked(self) -> int:
        """Bytes of all files of an archive."""
        return 4 * self.bytes


def check_picture(path: Path, limits: Limits) -> tuple[int, int]:
    """Return height and width of an uploaded picture, from its header.

    Raises:
        DataError: the file is too large, has too many pixels, or is no picture.
    """
    _check_bytes(path, limits)
    height, width = _size(path)
    if height * width > limits.pixels:
        raise DataError(f'{path} has {width}x{height} pixels; this page takes {limits.pixels:,}.',
                        'Make it smaller, or ask whoever runs the page for a larger --max-pixels.')
    return height, width


def _size(path: Path) -> tuple[int, int]:
    data = read_file(path)
    if tiff := read_tiff(data, None):
        return tiff.header.height, tiff.header.width
    if header := read_header(data):
        return header.height, header.width
    try:
        with Image.open(path) as image:  # reads the header alone
            return image.height, image.width
    except (Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise DataError(f'{path} is no picture that this page can read.',
                        'It may be damaged or of another format. Give a PNG, JPEG or TIFF file.') from error


def check_volume(path: Path, limits: Limits) -> None:
    """Check an uploaded volume by its header.

    Raises:
        DataError: the file is too large, has too many voxels, or is no NIfTI file.
        ConfigError: nibabel is not installed.
    """
    _check_bytes(path, limits)
    if not is_nifti_name(path):
        raise DataError(f'{path} is no NIfTI file.',
                        'Give a .nii or .nii.gz file. `vlfusion fuse` reads DICOM series too.')
    with needs('A NIfTI file', 'nibabel', 'medical'):
        import nibabel
    try:
        shape = nibabel.load(path).shape
    except Exception as error:  # a damaged header can raise anything
        raise DataError(f'Cannot read {path} as a NIfTI file.', 'It may be damaged; copy it again.') from error
    count = 1
    for length in shape:
        count *= int(length)
    if count > limits.voxels:
        raise DataError(f'{path} has {"x".join(map(str, shape))} voxels; this page takes {limits.voxels:,}.',
                        'Cut it, or ask whoever runs the page for a larger --max-voxels.')


def _check_bytes(path: Path, limits: Limits) -> None:
    try:
        count = path.stat().st_size
    except FileNotFoundError as error:
        raise DataError(f'{path.name} is not on the server any more.', 'Upload it again.') from error
    if count > limits.bytes:
        raise DataError(f'{path} has {size_in_words(count)}; this page takes {size_in_words(limits.bytes)}.',
                        'Make it smaller, or ask whoever runs the page for a larger --max-upload.')


def gather(uploads: Sequence[Path], folder: Path, limits: Limits) -> list[str]:
    """Put uploaded pictures, or those of one uploaded zip archive, into a folder.

    Args:
        uploads: pictures, or one archive.
        folder: folder to make.
        limits: limits of the page.

    Returns:
        Names of the files that are no pictures and were left out.

    Raises:
        DataError: there are no files, too many or too large ones, two of one name, or an archive together with other
            files; or an archive is damaged, encrypted, or holds links or paths that lead out of it.
    """
    folder.mkdir(parents=True)
    for path in uploads:
        _check_bytes(path, limits)
    archives = [path for path in uploads if path.suffix.lower() == '.zip' or zipfile.is_zipfile(path)]
    if archives and len(uploads) > 1:
        raise DataError(f'{archives[0].name} is a zip archive, but other files came with it.',
                        'Give one archive, or pictures alone.')
    if archives:
        left_out = unpack(archives[0], folder, limits)
    else:
        pictures = [path for path in uploads if _is_picture(path.name)]
        left_out = [path.name for path in uploads if path not in pictures]
        _check_count(len(pictures), folder.name, limits)
        for path in pictures:
            if (folder / path.name).exists():
                raise DataError(f'Two files of {folder.name} are called {path.name}.', 'Rename one of them.')
            shutil.copyfile(path, folder / path.name)
    for path in sorted(folder.rglob('*')):
        if path.is_file():
            check_picture(path, limits)
    return left_out


def unpack(archive: Path, folder: Path, limits: Limits) -> list[str]:
    """Unpack the pictures of a zip archive; arguments, result and errors as for `gather`.

    A folder that holds everything is left out, as archives of a folder have one.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            files = [info for info in opened.infolist() if not info.is_dir() and not _is_clutter(info.filename)]
            for info in files:
                _check_entry(archive, info)
            pictures = [info for info in files if _is_picture(info.filename)]
            _check_count(len(pictures), archive.name, limits)
            if (total := sum(info.file_size for info in pictures)) > limits.unpacked:
                raise _too_much(archive, f'{size_in_words(total)}', limits)
            above, left = _common_folder([info.filename for info in pictures]), limits.unpacked
            for info in pictures:
                target = folder / PurePosixPath(info.filename).relative_to(above)
                if target.exists():
                    raise DataError(f'{archive.name} holds {info.filename} twice.', 'Pack it again.')
                target.parent.mkdir(parents=True, exist_ok=True)
                left = _copy(opened, info, target, left, archive, limits)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError, RuntimeError, ValueError, lzma.LZMAError,
            zlib.error) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f'The archive {archive.name} cannot be unpacked: {error}.',
                        'Pack it again, as a zip.') from error
    return [info.filename for info in files if info not in pictures]


def _copy(opened: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, left: int, archive: Path,
          limits: Limits) -> int:
    """Copy a file out of an archive, and return how many bytes others may still have; headers may state too few."""
    with opened.open(info) as source, target.open('xb') as copy:
        while part := source.read(_CHUNK):
            left -= len(part)
            if left < 0:
                raise _too_much(archive, 'more', limits)
            copy.write(part)
    return left


def _too_much(archive: Path, size: str, limits: Limits) -> DataError:
    return DataError(f'The pictures of {archive.name} take {size} unpacked; this page takes '
                     f'{size_in_words(limits.unpacked)}.', 'Give fewer pictures, or smaller ones.')


def _check_entry(archive: Path, info: zipfile.ZipInfo) -> None:
    """Raise DataError if a file of an archive is a link, is encrypted, or would lie outside of the folder."""
    name, problem = info.filename, ''
    parts = PurePosixPath(name).parts
    if stat.S_ISLNK(info.external_attr >> 16):
        problem = 'is a link'
    elif info.flag_bits & 1:
        problem = 'is encrypted'
    elif name.startswith('/') or '..' in parts or '\\' in name or any(map(windows_fault, parts)):
        problem = 'has a path that leads out of the archive, or that no system allows'
    if problem:
        raise DataError(f'{archive.name} holds {name!r}, which {problem}.', 'Pack plain files again, as a zip.')


def _check_count(count: int, name: str, limits: Limits) -> None:
    if not count:
        raise DataError(f'There is no picture in {name}.',
                        f'Give files that end in {", ".join(SUFFIXES[:6])} or others.')
    if count > limits.files:
        raise DataError(f'{name} has {count:,} pictures; this page takes {limits.files:,}.',
                        'Give fewer, or use `vlfusion fuse` for folders of any size.')


def _is_picture(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def _is_clutter(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return any(part in _CLUTTER or part.startswith('._') for part in parts)


def _common_folder(names: Sequence[str]) -> PurePosixPath:
    """Return the deepest folder that holds all files.

    >>> str(_common_folder(['IR/a/1.png', 'IR/a/2.png'])), str(_common_folder(['IR/1.png', '2.png']))
    ('IR/a', '.')
    """
    folders = [PurePosixPath(name).parent.parts for name in names]
    same = []
    for parts in zip(*folders, strict=False):
        if len(set(parts)) > 1:
            break
        same.append(parts[0])
    return PurePosixPath(*same)


def show_left_out(names: Sequence[str]) -> str:
    """Write which uploaded files are no pictures, for the user; empty if there are none."""
    return f'These files are no pictures and were left out:\n{listing(names, 5)}' if names else ''
