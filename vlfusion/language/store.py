"""The text store: what the language stage made of each image, and the keys under which training finds it.

    <root>/observations/ab/abcd....json     what the captioners saw
    <root>/paragraphs/12/1234....json       what the LLM wrote of it
    <root>/features/9f/9f00....json, .npy   the paragraph's token features
    <root>/failures/9f/9f00....json         why an image could not be described, until it could

A key is a hash of the image's content and of the configs that matter for that stage, so another text encoder asks for
new features and keeps every paragraph. Computing keys and reading features needs no language library.
"""

import json
import os
from importlib import import_module
from pathlib import Path

import numpy as np
from jaxtyping import Float

from vlfusion.errors import DataError, UnknownNameError, did_you_mean
from vlfusion.files import write_array, write_whole
from vlfusion.guards.redaction import without_secrets
from vlfusion.language.answers import encodable
from vlfusion.language.records import fault, parse_record

STAGES = ('observations', 'paragraphs', 'features')
FAILURES = 'failures'
#: Names that once stood here, each with its module now.
_MOVED = {'Keys': 'keys', 'Content': 'keys', 'identity': 'keys', 'RUNTIME_KEYS': 'keys', 'image_digest': 'subjects',
          'section': 'section'}
#: How the header of each version of NumPy's files is read.
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class TextStore:
    """Records in files. A record is written beside its place and moved there, its array first, so a record that can be
    found is whole, a killed run loses at most the record in flight, and several processes can fill one store.

    Args:
        root: the folder; made at the first write.
    """

    def __init__(self, root: str | os.PathLike):
        self.root = Path(root)

    def path(self, stage: str, key: str) -> Path:
        """Path of the record of a key; the array of a feature has the ending `.npy` instead."""
        if stage not in (*STAGES, FAILURES):
            raise UnknownNameError(f'The text store has no stage {stage!r}.', did_you_mean(stage, STAGES))
        return self.root / stage / key[:2] / f'{key}.json'

    def has(self, stage: str, key: str) -> bool:
        """Tell whether there is a record."""
        return self.path(stage, key).is_file()

    def read(self, stage: str, key: str) -> dict:
        """The record of a key.

        Raises:
            DataError: there is none, or it is damaged.
        """
        path = self._existing(stage, key)
        try:
            return parse_record(path.read_bytes())
        except (OSError, ValueError) as error:
            raise _damaged(path, error) from error

    def checked(self, stage: str, key: str) -> dict:
        """The record of a key, with every entry that is read later in its right form; one of features with its array.

        Raises:
            DataError: there is none, or it is damaged; names the file and the entry.
        """
        record = self.read(stage, key)
        if problem := fault(stage, record):
            raise _damaged(self.path(stage, key), problem)
        for name, size in zip(('tokens', 'dim'), self.features(key).shape if stage == 'features' else (), strict=False):
            if record.get(name, size) != size:
                raise _damaged(self.path(stage, key), f'{name!r} is {record[name]}, but the array beside it has {size}')
        return record

    def is_intact(self, stage: str, key: str) -> bool:
        """True if there is a record that is not damaged, see `checked`."""
        try:
            return self.has(stage, key) and bool(self.checked(stage, key))
        except DataError:
            return False

    def features(self, key: str) -> Float[np.ndarray, 'token dim']:
        """The token features of a key.

        Raises:
            DataError: there are none, or they are damaged.
        """
        path = self._existing('features', key).with_suffix('.npy')
        try:
            return _load_features(path)
        except (OSError, ValueError) as error:
            raise _damaged(path, error) from error

    def write(self, stage: str, key: str, record: dict, array: np.ndarray | None = None) -> None:
        """Write a record, and its array where it has one; one of the same key is replaced. Secrets are left out."""
        path = self.path(stage, key)
        if array is not None:
            write_array(path.with_suffix('.npy'), array)
        text = encodable(json.dumps(without_secrets(record), indent=1, ensure_ascii=False))
        write_whole(path, text.encode())

    def remove(self, stage: str, key: str) -> None:
        """Take a record out, if there is one."""
        self.path(stage, key).unlink(missing_ok=True)

    def _existing(self, stage: str, key: str) -> Path:
        path = self.path(stage, key)
        if not path.is_file():
            raise DataError(f'The text store has no record {path}.',
                            'Run `vlfusion describe CONFIG` with this config, or correct its language.store.')
        return path


def _load_features(path: Path) -> Float[np.ndarray, 'token dim']:
    """The array in a file, which may have been cut or written by others: nothing is allocated that is not there."""
    with open(path, 'rb') as file:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f'it has the unknown version {version}')
        shape, _, dtype = _HEADERS[version](file)
        if dtype.kind != 'f' or len(shape) != 2 or 0 in shape:
            raise ValueError(f'expected floats (token, dim), it holds {dtype} {shape}')
        rest = os.fstat(file.fileno()).st_size - file.tell()
        if rest != shape[0] * shape[1] * dtype.itemsize:
            raise ValueError(f'it has {rest} bytes of features instead of {shape[0] * shape[1] * dtype.itemsize}')
        file.seek(0)
        features = np.lib.format.read_array(file, allow_pickle=False)
    if not np.isfinite(features).all():
        raise ValueError('it holds NaN or infinity')
    return features


def _damaged(path: Path, cause: object) -> DataError:
    return DataError(f'The record {path} is damaged: {cause}.',
                     'Run `vlfusion describe CONFIG`: it makes a damaged record again.')


def __getattr__(name: str) -> object:
    """A name that moved to another module; a plugin may still import it from here."""
    if name not in _MOVED:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'vlfusion.language.{_MOVED[name]}'), name)
