"""Places of downloaded weights in `vlfusion.files.cache_folder()`.

    downloads/BLOB.SUFFIX                  an authors' file, as they released it
    models/PACKAGE.NAME.safetensors        the checkpoint made of it
"""

import os
from pathlib import Path

from vlfusion.files import cache_folder
from vlfusion.zoo import hub
from vlfusion.zoo.entries import ModelEntry, OnHub, Packaged, Pinned
from vlfusion.zoo.names import entry_of
from vlfusion.zoo.remote import RemoteFile


def original(file: RemoteFile) -> Path:
    """Return the place of an authors' file. A file that was released under two names has one place."""
    return cache_folder() / 'downloads' / f'{file.blob[:16]}{Path(file.path).suffix}'


def converted(entry: ModelEntry) -> Path:
    """Return the place of the checkpoint that is made of the authors' files."""
    return cache_folder() / 'models' / f'{entry.scoped}.safetensors'


def is_here(entry: ModelEntry) -> bool:
    """Tell whether a model can be used without a download."""
    match entry.source:
        case Packaged(path):
            return path.is_file()
        case Pinned(files):
            return converted(entry).is_file() or all(original(file).is_file() for file in files)
        case OnHub(address):
            return hub.is_cached(address)
    return True


def not_here(model: str | os.PathLike) -> str:
    """Say that the weights of a model have to be downloaded; empty if they are here, or are no download.

    Args:
        model: as for `vlfusion.engine.named.locate`.
    """
    if hub.is_hub_address(model):
        return '' if hub.is_cached(os.fspath(model)) else f'The weights of {model} are not on this machine.'
    entry = entry_of(model)
    if entry is None or is_here(entry) or isinstance(entry.source, Packaged):
        return ''
    return (f'The weights of {entry.name} are not on this machine. They come from {entry.source}, licence: '
            f'{entry.licence}.')


def size(entry: ModelEntry) -> int | None:
    """Return the size of the weights in bytes; None if it is not known. Without weights it is 0."""
    match entry.source:
        case Packaged(path):
            return path.stat().st_size if path.is_file() else None
        case Pinned(files):
            sizes = [file.size for file in files]
            return None if None in sizes else sum(sizes)
    return None if entry.source else 0


def by_hand(entry: ModelEntry) -> str:
    """Say how to put the authors' files of a model in place without a download."""
    names = ' '.join(Path(file.path).name for file in entry.source.files)
    return f'Fetch it on another machine, then run: vlfusion models add {entry.name} {names}'
