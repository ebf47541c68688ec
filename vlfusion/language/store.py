"""Text store: the records of the language stage, in files that training finds by their keys.

    <root>/observations/ab/abcd....json     observations of the captioners
    <root>/paragraphs/12/1234....json       the paragraph of the LLM
    <root>/features/9f/9f00....json, .npy   token features of the paragraph
    <root>/failures/9f/9f00....json         the last error of a description, until it succeeds

A key is a hash of the image's content and of the configs that matter for that stage. So another text encoder needs new
features, but keeps every paragraph. Keys and features need no language library.
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
from vlfusion.language.answers.clean import encodable
from vlfusion.language.records import fault, parse_record

STAGES = ('observations', 'paragraphs', 'features')
FAILURES = 'failures'
#: Names that moved from here to other modules.
_MOVED = {'image_digest': 'subjects', 'section': 'section'} | dict.fromkeys(
    ('Keys', 'Content', 'identity', 'RUNTIME_KEYS', 'observation_key', 'paragraph_key', 'feature_key'), 'keys')
#: Readers of the header, by the version of NumPy's file format.
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class TextStore:
    """Records in files.

    A record is written to a temporary file and moved to its place, after its array. So every record in place is whole,
    a killed run loses only the record that it was writing, and several processes can fill one store.

    Args:
        root: the folder; made at the first write.
    """

    def __init__(self, root: str | os.PathLike):
        self.root = Path(root)

    def path(self, stage: str, key: str) -> Path:
        """Return the path of the record of a key. The array of features has the suffix `.npy` instead of `.json`."""
        if stage not in (*STAGES, FAILURES):
            raise UnknownNameError(f'The text store has no stage {stage!r}.', did_you_mean(stage, STAGES))
        return self.root / stage / key[:2] / f'{key}.json'

    def has(self, stage: str, key: str) -> bool:
        """True if there is a record."""
        return self.path(stage, key).is_file()

    def read(self, stage: str, key: str) -> dict:
        """Read the record of a key.

        Raises:
            DataError: the record is missing or damaged.
        """
        path = self._existing(stage, key)
        try:
            return parse_record(path.read_bytes())
        except (OSError, ValueError) as error:
            raise _damaged(path, error) from error

    def checked(self, stage: str, key: str) -> dict:
        """Read the record of a key, and check the form of its entries. For features, check the array as well.

        Raises:
            DataError: the record is missing or damaged. The message names the file and the entry.
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
        """Read the token features of a key.

        Raises:
            DataError: the features are missing or damaged.
        """
        path = self._existing('features', key).with_suffix('.npy')
        try:
            return _load_features(path)
        except (OSError, ValueError) as error:
            raise _damaged(path, error) from error

    def write(self, stage: str, key: str, record: dict, array: np.ndarray | None = None) -> None:
        """Write a record and its array, if any. A record of the same key is replaced. Secrets are left out."""
        path = self.path(stage, key)
        if array is not None:
            write_array(path.with_suffix('.npy'), array)
        text = encodable(json.dumps(without_secrets(record), indent=1, ensure_ascii=False))
        write_whole(path, text.encode())

    def remove(self, stage: str, key: str) -> None:
        """Remove a record, if there is one."""
        self.path(stage, key).unlink(missing_ok=True)

    def _existing(self, stage: str, key: str) -> Path:
        path = self.path(stage, key)
        if not path.is_file():
            raise DataError(f'The text store has no record {path}.',
                            'Run `vlfusion describe CONFIG` with this config, or fix its language.store.')
        return path


def _load_features(path: Path) -> Float[np.ndarray, 'token dim']:
    """Read the array in a file. Its header is checked first, because a damaged one may ask for any size of memory."""
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
                     'Run `vlfusion describe CONFIG`, which makes damaged records again.')


def __getattr__(name: str) -> object:
    """Return a name that moved to another module; a plugin may still import it from here."""
    if name not in _MOVED:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'vlfusion.language.{_MOVED[name]}'), name)
