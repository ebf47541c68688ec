"""Files that are either complete or absent, even if the process that writes them is killed.

A file is written under a temporary name in its final folder, and renamed when it is complete. Temporary names are
short, so a final name may be as long as the file system allows. They differ between processes and machines. The next
process that writes to the same folder removes the temporary files of killed ones.
"""

import errno
import hashlib
import json
import math
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from platformdirs import user_cache_dir

from vlfusion.errors import CheckpointError, DataError
from vlfusion.system.processes import is_alive, machine

#: A temporary name. The leading dot hides it from readers of image folders.
TEMPORARY = re.compile(r'\.vlfusion-(?P<machine>[0-9a-f]{8})-(?P<process>\d+)-[0-9a-f]{8}\.partial')
#: Age in seconds at which a temporary file of another machine counts as abandoned.
LEFT_BEHIND = 24 * 3600.
WINDOWS = os.name == 'nt'
#: Names that Windows reserves for devices.
DEVICES = {'CON', 'PRN', 'AUX', 'NUL', *(f'{port}{number}' for port in ('COM', 'LPT') for number in '123456789¹²³')}

_swept: set[Path] = set()


@contextmanager
def whole(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path to write to, and rename it to `path` if the block succeeds. Makes missing folders.

    Raises:
        OSError: the file cannot be written; the error names `path`.
        DataError: this system does not allow the name.
    """
    path = Path(path)
    if WINDOWS:
        check_for_windows(path)
    temporary = path.with_name(_temporary_name())
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        make_folder(path.parent)
        yield temporary
        patiently(lambda: os.replace(temporary, path))
    except OSError as error:
        _rename(error, temporary, path)
        raise
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[TextIO]:
    """Yield a UTF-8 text file to write. It gets its name when it is complete. Line ends are not converted.

    Errors as for `whole`.
    """
    with whole(path) as temporary, temporary.open('w', newline='', encoding='utf-8') as file:
        yield file


def write_whole(path: str | os.PathLike, content: bytes | memoryview) -> None:
    """Write bytes to a file. Errors as for `whole`."""
    with whole(path) as temporary:
        temporary.write_bytes(content)


def write_array(path: str | os.PathLike, array: np.ndarray) -> None:
    """Write an array as a NumPy file without pickled objects. Errors as for `whole`."""
    with whole(path) as temporary, temporary.open('wb') as file:
        np.save(file, array, allow_pickle=False)


@contextmanager
def whole_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary folder to fill, and replace `path` by it if the block succeeds.

    Errors as for `whole`.
    """
    path = Path(path)
    if WINDOWS:
        check_for_windows(path)
    empty = path.is_dir() and is_empty(path)  # may be someone's current folder, so it is kept and filled
    place = path if empty else path.parent
    make_folder(place)
    made, replaced = (place / _temporary_name() for _ in range(2))
    try:
        if path.exists() and not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        made.mkdir()
        yield made
        if empty:
            for entry in list(made.iterdir()):
                entry.rename(path / entry.name)
        else:
            if path.exists():
                path.rename(replaced)
            made.rename(path)
    except OSError as error:
        _rename(error, made, path)
        raise
    finally:
        if replaced.exists() and not path.exists():
            replaced.rename(path)
        for folder in (made, replaced):
            shutil.rmtree(folder, ignore_errors=True)


def is_empty(folder: Path) -> bool:
    """Tell whether a folder holds nothing but temporary files."""
    return all(TEMPORARY.fullmatch(entry.name) for entry in folder.iterdir())


def strict_json(value: Any, indent: int | None = 2) -> str:
    """Write plain data as JSON that every reader accepts: NaN and infinities become strings.

    >>> strict_json({'mean': float('nan'), 'most': [float('-inf'), 1.5]}, indent=None)
    '{"mean": "NaN", "most": ["-Infinity", 1.5]}'
    """
    return json.dumps(_finite(value), indent=indent, ensure_ascii=False, allow_nan=False)


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write plain data as `strict_json`. Errors as for `whole`."""
    with whole_file(path) as file:
        file.write(f'{strict_json(value)}\n')


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return 'NaN' if math.isnan(value) else 'Infinity' if value > 0 else '-Infinity'
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, and remove temporary files of killed processes from it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), error.filename) from None
    except OSError as error:
        error.filename = str(folder)  # not the parent that could not be made
        raise
    if folder not in _swept:
        _swept.add(folder)
        _sweep(folder)


def patiently(act: Callable[[], object]) -> None:
    """Call `act`, which moves or removes a file. Windows refuses while another process reads it, so retry for 1 s."""
    for wait in (0.01, 0.1, 1) if WINDOWS else ():
        try:
            act()
            return
        except PermissionError:
            time.sleep(wait)
    act()


def require_checkpoint(path: str | os.PathLike) -> Path:
    """Return the path of a checkpoint; raise CheckpointError if it does not exist."""
    path = Path(path).expanduser()
    if not path.is_file():
        raise CheckpointError(f'No checkpoint at {path}.', 'Check the path; training writes them to its work_dir.')
    return path


def file_digest(path: str | os.PathLike) -> str:
    """Return the SHA-256 of a file in hex."""
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def content_digest(path: str | os.PathLike) -> str:
    """The SHA-256 of a file. A known file is read again only if its size or time changed.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        status = os.stat(path)
        return _digest(str(path), status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise DataError(f'Cannot read {path}: {error}.', 'Check the path and its permissions.') from error


@cache
def _digest(path: str, size: int, changed: int) -> str:
    return file_digest(path)


def size_in_words(count: int | None) -> str:
    """Return a number of bytes in words.

    >>> size_in_words(1_540_000), size_in_words(40_395), size_in_words(24), size_in_words(None)
    ('1.5 MB', '40 kB', '24 bytes', 'size not known')
    """
    if count is None:
        return 'size not known'
    return f'{count / 1e6:.1f} MB' if count >= 1e6 else f'{count / 1e3:.0f} kB' if count >= 1e3 else f'{count} bytes'


def cache_folder() -> Path:
    """Return the folder of vlfusion's own files: `VLFUSION_HOME`, or a folder in the platform's cache folder."""
    return Path(os.environ.get('VLFUSION_HOME') or user_cache_dir('vlfusion')).expanduser()


def writable_cache_folder() -> Path:
    """Return `cache_folder()`; if a group shares it and only its owner may write, the platform's cache folder."""
    folder = cache_folder()
    shared = folder.exists() and not os.access(folder, os.W_OK)
    return Path(user_cache_dir('vlfusion')) if shared else folder


def windows_fault(name: str) -> str:
    """Say why Windows refuses a file or folder of this name; empty if it does not.

    >>> windows_fault('aux.png'), windows_fault('a:b.png'), windows_fault('fused. ')
    ('is the name of a device', "contains ':'", 'ends in a dot or a space')
    """
    if name.partition('.')[0].rstrip().upper() in DEVICES:
        return 'is the name of a device'
    if forbidden := re.search(r'[<>:"/\\|?*\x00-\x1f]', name):
        return f'contains {forbidden[0]!r}'
    return 'ends in a dot or a space' if name.strip('.') and name[-1] in '. ' else ''


def check_for_windows(path: Path) -> None:
    """Raise DataError if Windows refuses a file of this path."""
    for name in path.parts[bool(path.anchor):]:
        if fault := windows_fault(name):
            raise DataError(f'Windows does not allow the file {path}: {name!r} {fault}.',
                            'Rename the sources, or choose another --out.')


def _temporary_name() -> str:
    return f'.vlfusion-{machine()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.partial'


def _rename(error: OSError, temporary: Path, path: Path) -> None:
    """Make an error name the final file if it names the temporary one or, as for a full disk, no file."""
    name = str(error.filename or temporary)
    if error.errno is not None and name.startswith(str(temporary)):
        error.filename = f'{path}{name[len(str(temporary)):]}'
        del error.filename2  # the target of the failed move


def _sweep(folder: Path) -> None:
    """Remove the temporary files of killed processes from a folder."""
    with suppress(OSError):
        for entry in os.scandir(folder):
            if (name := TEMPORARY.fullmatch(entry.name)) and _is_abandoned(entry, name):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry, ignore_errors=True)
                else:
                    with suppress(OSError):
                        os.unlink(entry)


def _is_abandoned(entry: os.DirEntry, name: re.Match) -> bool:
    if name['machine'] == machine() and not is_alive(int(name['process'])):
        return True
    try:
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > LEFT_BEHIND
    except OSError:
        return False
