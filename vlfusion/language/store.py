"""Text store: the records of the language stage, which training finds by their keys.

`open_store` opens a store: by default a folder with a file for each record, or a sharded store for millions of records
(`vlfusion.language.sharded`) if the path ends in `.shards`. A folder has

    <root>/observations/ab/abcd....json     observations of the captioners
    <root>/paragraphs/12/1234....json       the paragraph of the LLM
    <root>/features/9f/9f00....json, .npy   token features of the paragraph
    <root>/failures/9f/9f00....json         the last error of a description, until it succeeds

A key is a hash of the image's content and of the configs that matter for that stage. So another text encoder needs new
features, but keeps every paragraph. Keys and features need no language library.
"""

import json
import os
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Float

from vlfusion.errors import DataError, UnknownNameError, did_you_mean
from vlfusion.files import write_whole
from vlfusion.guards.redaction import without_secrets
from vlfusion.language.answers.clean import encodable
from vlfusion.language.records import fault, parse_record

STAGES = ('observations', 'paragraphs', 'features')
FAILURES = 'failures'
#: Ending of the path of a sharded store.
SHARDED = '.shards'
#: Names that moved from here to other modules.
_MOVED = {'image_digest': 'subjects', 'section': 'section'} | dict.fromkeys(
    ('Keys', 'Content', 'identity', 'RUNTIME_KEYS', 'observation_key', 'paragraph_key', 'feature_key'), 'keys')
#: Readers of the header, by the version of NumPy's file format.
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def open_store(path: str | os.PathLike) -> 'TextStore':
    """Open the text store of a path: a sharded one if the path ends in `.shards`, else a folder of small files.

    Raises:
        ConfigError: a sharded store needs pyarrow, which is not installed.
    """
    return _sharded(Path(path).absolute(), Path(path)) if Path(path).suffix == SHARDED else TextStore(path)


@cache  # streams of a training share one index, and all that this process writes goes to one journal
def _sharded(place: Path, path: Path) -> 'TextStore':
    from vlfusion.language.sharded import ShardedStore
    return ShardedStore(path)


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
        self._require_stage(stage)
        return self.root / stage / key[:2] / f'{key}.json'

    def has(self, stage: str, key: str) -> bool:
        """True if there is a record."""
        return self.path(stage, key).is_file()

    def missing(self, stage: str, keys: Iterable[str]) -> list[str]:
        """Return the keys without a record, in their order. Records are not read."""
        return [key for key in keys if not self.has(stage, key)]

    def keys(self, stage: str) -> Iterator[str]:
        """Yield the keys of all records of a stage, sorted."""
        self._require_stage(stage)
        for folder in sorted((self.root / stage).glob('??')):
            yield from sorted(path.stem for path in folder.glob('*.json'))

    def read(self, stage: str, key: str) -> dict:
        """Read the record of a key.

        Raises:
            DataError: the record is missing or damaged.
        """
        return self._parsed(stage, key, self.content(stage, key)[0])

    def checked(self, stage: str, key: str) -> dict:
        """Read the record of a key, and check the form of its entries. For features, check the array as well.

        Raises:
            DataError: the record is missing or damaged. The message names the file and the entry.
        """
        data, array = self.content(stage, key, array=stage == 'features')
        record = self._parsed(stage, key, data)
        if problem := fault(stage, record):
            raise _damaged(self.place(stage, key), problem)
        sizes = self._features(key, array).shape if stage == 'features' else ()
        for name, size in zip(('tokens', 'dim'), sizes, strict=False):
            if record.get(name, size) != size:
                raise _damaged(self.place(stage, key),
                               f'{name!r} is {record[name]}, but the array beside it has {size}')
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
        return self._features(key, self.content('features', key, record=False, array=True)[1])

    def content(self, stage: str, key: str, record: bool = True, array: bool = False) -> tuple[bytes, bytes | None]:
        """Read what is stored of a record: its JSON, and its array as a NumPy file. Neither is checked.

        Args:
            stage: the stage of the record.
            key: its key.
            record: False if the JSON need not be read.
            array: True if the array must be read.

        Raises:
            DataError: the record is missing, or cannot be read.
        """
        path = self.path(stage, key)
        if not path.is_file():
            raise self._no_record(path)
        try:
            data = path.read_bytes() if record else b''
            path = path.with_suffix('.npy')
            return data, path.read_bytes() if array else None
        except OSError as error:
            raise _damaged(path, error) from error

    def write(self, stage: str, key: str, record: dict, array: np.ndarray | None = None) -> None:
        """Write a record and its array, if any. A record of the same key is replaced. Secrets are left out."""
        text = encodable(json.dumps(without_secrets(record), indent=1, ensure_ascii=False))
        file = BytesIO()
        if array is not None:
            np.save(file, array, allow_pickle=False)
        self.put(stage, key, text.encode(), file.getvalue() or None)

    def put(self, stage: str, key: str, record: bytes, array: bytes | None = None) -> None:
        """Write what `content` has read from another store."""
        path = self.path(stage, key)
        if array is not None:
            write_whole(path.with_suffix('.npy'), array)
        write_whole(path, record)

    def remove(self, stage: str, key: str) -> None:
        """Remove a record, if there is one."""
        self.path(stage, key).unlink(missing_ok=True)

    def close(self) -> None:
        """End the writing of this process for now. Records are safe without it; a sharded store has fewer files."""

    def place(self, stage: str, key: str, array: bool = False) -> str:
        """Return the place of a record for messages: its file, and the key if the file holds several records."""
        return str(self.path(stage, key).with_suffix('.npy' if array else '.json'))

    def _parsed(self, stage: str, key: str, data: bytes) -> dict:
        try:
            return parse_record(data)
        except ValueError as error:
            raise _damaged(self.place(stage, key), error) from error

    def _features(self, key: str, data: bytes | None) -> Float[np.ndarray, 'token dim']:
        try:
            if data is None:
                raise ValueError('it has no array')
            return _parse_features(data)
        except ValueError as error:
            raise _damaged(self.place('features', key, array=True), error) from error

    def _require_stage(self, stage: str) -> None:
        if stage not in (*STAGES, FAILURES):
            raise UnknownNameError(f'The text store has no stage {stage!r}.', did_you_mean(stage, STAGES))

    def _no_record(self, place: object) -> DataError:
        return DataError(f'The text store has no record {place}.',
                         'Run `vlfusion describe CONFIG` with this config, or fix its language.store.')


def _parse_features(data: bytes) -> Float[np.ndarray, 'token dim']:
    """Read the array in a NumPy file. Its header is checked first, because a damaged one may ask for any memory."""
    file = BytesIO(data)
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f'it has the unknown version {version}')
    shape, fortran_order, dtype = _HEADERS[version](file)
    if dtype.kind != 'f' or len(shape) != 2 or 0 in shape:
        raise ValueError(f'expected floats (token, dim), it holds {dtype} {shape}')
    rest = len(data) - file.tell()
    if rest != shape[0] * shape[1] * dtype.itemsize:
        raise ValueError(f'it has {rest} bytes of features instead of {shape[0] * shape[1] * dtype.itemsize}')
    features = np.frombuffer(data, dtype, offset=file.tell()).reshape(shape, order='F' if fortran_order else 'C').copy()
    if not np.isfinite(features).all():
        raise ValueError('it holds NaN or infinity')
    return features


def _damaged(place: object, cause: object) -> DataError:
    return DataError(f'The record {place} is damaged: {cause}.',
                     'Run `vlfusion describe CONFIG`, which makes damaged records again.')


def __getattr__(name: str) -> object:
    """Return a name that moved to another module; a plugin may still import it from here."""
    if name not in _MOVED:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'vlfusion.language.{_MOVED[name]}'), name)
