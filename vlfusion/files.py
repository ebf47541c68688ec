"""Files that are whole or absent, whatever ends the process that writes them.

A file is written under a temporary name in the folder of its final one, and moved there once it is whole. Temporary
names are short, so that a final name may be as long as the file system allows. They differ between processes and
machines. What a killed process left behind is removed by the next one that writes to the same folder.
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
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from vlfusion.errors import CheckpointError, DataError
from vlfusion.system.processes import is_alive, machine

#: A temporary name; the dot hides it from whatever reads a folder of images.
TEMPORARY = re.compile(r'\.vlfusion-(?P<machine>[0-9a-f]{8})-(?P<process>\d+)-[0-9a-f]{8}\.partial')
#: Seconds after which a temporary file of another machine counts as left behind.
LEFT_BEHIND = 24 * 3600.
WINDOWS = os.name == 'nt'
#: What Windows takes for devices.
DEVICES = {'CON', 'PRN', 'AUX', 'NUL', *(f'{port}{number}' for port in ('COM', 'LPT') for number in '123456789¹²³')}

_swept: set[Path] = set()


@contextmanager
def whole(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path to write to; it becomes `path` when the block ends without an error. Folders are made.

    Raises:
        OSError: the file cannot be written; the error names `path`.
        DataError: no file can have this name on this system.
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
    """Yield a UTF-8 text file to write, which has its name once it is whole. Line ends are written as they are given.

    Errors as for `whole`.
    """
    with whole(path) as temporary, temporary.open('w', newline='', encoding='utf-8') as file:
        yield file


def write_whole(path: str | os.PathLike, content: bytes | memoryview) -> None:
    """Write a file of these bytes. Errors as for `whole`."""
    with whole(path) as temporary:
        temporary.write_bytes(content)


def write_array(path: str | os.PathLike, array: np.ndarray) -> None:
    """Write a NumPy file, in which nothing is pickled. Errors as for `whole`."""
    with whole(path) as temporary, temporary.open('wb') as file:
        np.save(file, array, allow_pickle=False)


@contextmanager
def whole_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary folder to fill; it takes the place of `path` when the block ends without an error.

    Errors as for `whole`.
    """
    path = Path(path)
    if WINDOWS:
        check_for_windows(path)
    empty = path.is_dir() and not any(path.iterdir())  # perhaps where somebody stands: it stays, and is filled
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


def strict_json(value: Any, indent: int | None = 2) -> str:
    """Plain data as JSON that every reader takes: numbers that are not finite become strings.

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
    """Make a folder and those above it, and remove from it what killed processes left."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), error.filename) from None
    if folder not in _swept:
        _swept.add(folder)
        _sweep(folder)


def patiently(act: Callable[[], object]) -> None:
    """Move or remove a file. Windows refuses that while another process reads it, so it is tried for a second."""
    for wait in (0.01, 0.1, 1) if WINDOWS else ():
        try:
            act()
            return
        except PermissionError:
            time.sleep(wait)
    act()


def require_checkpoint(path: str | os.PathLike) -> Path:
    """The path of a checkpoint; raises CheckpointError if it is not there."""
    path = Path(path).expanduser()
    if not path.is_file():
        raise CheckpointError(f'No checkpoint at {path}.', 'Check the path; training writes them to its work_dir.')
    return path


def file_digest(path: str | os.PathLike) -> str:
    """The SHA-256 of a file in hex."""
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def windows_fault(name: str) -> str:
    """Reason why Windows takes no file or folder of this name; empty where it does.

    >>> windows_fault('aux.png'), windows_fault('a:b.png'), windows_fault('fused. ')
    ('is the name of a device', "holds ':'", 'ends in a dot or a blank')
    """
    if name.partition('.')[0].rstrip().upper() in DEVICES:
        return 'is the name of a device'
    if found := re.search(r'[<>:"/\\|?*\x00-\x1f]', name):
        return f'holds {found[0]!r}'
    return 'ends in a dot or a blank' if name.strip('.') and name[-1] in '. ' else ''


def check_for_windows(path: Path) -> None:
    """Raises DataError where Windows takes no file of this path."""
    for name in path.parts[bool(path.anchor):]:
        if fault := windows_fault(name):
            raise DataError(f'Windows takes no file {path}: {name!r} {fault}.',
                            'Rename the sources, or choose another --out.')


def _temporary_name() -> str:
    return f'.vlfusion-{machine()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.partial'


def _rename(error: OSError, temporary: Path, path: Path) -> None:
    """Let an error name the file that was asked for, where it names the temporary one or, as for a full disk, none."""
    name = str(error.filename or temporary)
    if error.errno is not None and name.startswith(str(temporary)):
        error.filename = f'{path}{name[len(str(temporary)):]}'
        del error.filename2  # where it was to be moved


def _sweep(folder: Path) -> None:
    """Remove what killed processes left in a folder."""
    with suppress(OSError):
        for entry in os.scandir(folder):
            if (name := TEMPORARY.fullmatch(entry.name)) and _is_left_behind(entry, name):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry, ignore_errors=True)
                else:
                    with suppress(OSError):
                        os.unlink(entry)


def _is_left_behind(entry: os.DirEntry, name: re.Match) -> bool:
    if name['machine'] == machine() and not is_alive(int(name['process'])):
        return True
    try:
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > LEFT_BEHIND
    except OSError:
        return False
