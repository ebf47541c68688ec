"""A cache of results by their inputs: known results are not computed again, and changed inputs have other keys.

    ROOT/fused/ab/abcd....json          the result of a method on a pair: pictures, seconds, memory
    ROOT/colours/ab/abcd....json        the colour version of a grey picture
    ROOT/scores/12/1234..../56....json  scores of a picture, a file for each time that some were computed
    ROOT/macs/ab/abcd....json           multiply-adds of a model for one size
    ROOT/pictures/9f/9f00....png        a picture by its content

A record is written to a temporary file and then moved, so that records are always complete. A killed run loses only its
unfinished work, and several processes can fill one folder.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from functools import cache as once
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from vlfusion.files import content_digest, write_whole
from vlfusion.imaging.reading.rule import AS_STORED, Reading

#: Packages whose version may change the last bits of a result.
NUMERIC = ('torch', 'torchvision', 'numpy', 'scipy', 'opencv-python', 'opencv-python-headless', 'mmengine', 'mmcv-lite',
           'timm', 'transformers', 'open_clip_torch', 'PyWavelets')


class Cache:
    """A folder of records and pictures.

    Args:
        root: path of the folder; made at the first write.
    """

    def __init__(self, root: str | os.PathLike):
        self.root = Path(root)

    def read(self, kind: str, key: str) -> dict[str, Any] | None:
        """The record of a key; None if it does not exist or is damaged, as after a crash of the machine."""
        try:
            return json.loads(self._path(kind, key, '.json').read_bytes())
        except (FileNotFoundError, ValueError):
            return None

    def write(self, kind: str, key: str, record: Mapping[str, Any]) -> None:
        """Write a record of plain data; a record of the same key is replaced."""
        write_whole(self._path(kind, key, '.json'), json.dumps(record).encode())

    def add(self, kind: str, key: str, part: Mapping[str, Any]) -> None:
        """Add a part to the records of a key; parts that other processes add at the same time are kept."""
        self.write(kind, f'{key}/{key_of(part=part)}', part)

    def read_all(self, kind: str, key: str) -> dict[str, Any]:
        """All parts that were added to a key, joined."""
        parts: dict[str, Any] = {}
        for path in sorted(self._path(kind, key, '').glob('*.json')):
            parts |= self.read(kind, f'{key}/{path.stem}') or {}
        return parts

    def keep_picture(self, picture: UInt8[np.ndarray, 'h w *bgr']) -> str:
        """Keep a picture, and return the SHA-256 of its file."""
        # Compression level 1 is twice as fast as the default, for a tenth more bytes.
        content = cv2.imencode('.png', picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
        digest = hashlib.sha256(content).hexdigest()
        if not self.picture(digest).is_file():
            write_whole(self.picture(digest), content)
        return digest

    def picture(self, digest: str) -> Path:
        """The file of a kept picture."""
        return self._path('pictures', digest, '.png')

    def has_picture(self, digest: str) -> bool:
        """Tell whether a kept picture exists and is unchanged."""
        path = self.picture(digest)
        return path.is_file() and content_digest(path) == digest

    def _path(self, kind: str, key: str, ending: str) -> Path:
        return self.root / kind / key[:2] / f'{key}{ending}'


def key_of(**parts: Any) -> str:
    """A hash of plain data.

    >>> key_of(a=1, b='x') == key_of(b='x', a=1) != key_of(a=2, b='x')
    True
    """
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def image_digest(path: str | os.PathLike, reading: Reading = AS_STORED) -> str:
    """The digest of an image: `content_digest`, or a hash of it and the reading rule if there is one."""
    digest = content_digest(path)
    return key_of(content=digest, reading=str(reading)) if str(reading) else digest


def code_digest(*modules: ModuleType) -> str:
    """A hash of the Python sources of modules and packages, and of the versions in `NUMERIC`.

    Any change of a source counts, even of a comment: a run too many is better than a result of older code.
    """
    return key_of(sources={name: content_digest(file) for module in modules for name, file in _sources(module)},
                  versions=_versions())


def modules_of(entry: Callable | None) -> list[ModuleType]:
    """The modules whose source decides the results of a class or function.

    For a plugin, its whole package; for vlfusion, that module only (the rest is hashed separately); for a loose script,
    every loaded module in its folder.
    """
    if entry is None:
        return []
    module = sys.modules[entry.__module__]
    top, dot, _ = entry.__module__.partition('.')
    if top == 'vlfusion':
        return [module]
    if dot or hasattr(module, '__path__'):
        return [sys.modules[top]]
    folder = Path(getattr(module, '__file__', None) or '.').parent
    return [module, *(other for other in list(sys.modules.values())
                      if other is not module and Path(getattr(other, '__file__', None) or '/').parent == folder)]


def _sources(module: ModuleType) -> list[tuple[str, Path]]:
    """The files of a module or package, with names that do not depend on where it is installed."""
    if folders := getattr(module, '__path__', None):
        return [(f'{module.__name__}/{file.relative_to(folder)}', file)
                for folder in folders for file in sorted(Path(folder).rglob('*.py'))]
    return [(module.__name__, Path(module.__file__))] if getattr(module, '__file__', None) else []


@once
def _versions() -> dict[str, str]:
    versions = {}
    for package in NUMERIC:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
