"""Digests of plain data and of code: equal inputs have equal ones, and a change of any has another."""

import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

from vlfusion.files import content_digest

#: Packages whose version may change the last bits of a result.
NUMERIC = ('torch', 'torchvision', 'numpy', 'scipy', 'opencv-python', 'opencv-python-headless', 'mmengine', 'mmcv-lite',
           'timm', 'transformers', 'open_clip_torch', 'PyWavelets')


def key_of(**parts: Any) -> str:
    """A hash of plain data.

    >>> key_of(a=1, b='x') == key_of(b='x', a=1) != key_of(a=2, b='x')
    True
    """
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def code_digest(*modules: ModuleType, packages: Sequence[str] = NUMERIC) -> str:
    """A hash of the Python sources of modules and packages, and of the versions of these installed packages.

    Any change of a source counts, even of a comment: a run too many is better than a result of older code.
    """
    return key_of(sources={name: content_digest(file) for module in modules for name, file in _sources(module)},
                  versions=_versions(tuple(packages)))


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


@cache
def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    versions = {}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
