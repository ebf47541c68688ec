"""Files of a sharded text store: shards, which never change, and journals, to which one process appends.

Both are Arrow files of one schema, which every Arrow library reads. A shard is an IPC file and is read through a memory
map, so one record costs a few microseconds. A journal is an IPC stream with one record in a message. A killed process
may leave half a message at its end; readers stop before it.
"""

import os
import uuid
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import accumulate
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from vlfusion.errors import DataError, needs
from vlfusion.files import make_folder, whole
from vlfusion.system.processes import machine

if TYPE_CHECKING:
    import pyarrow

SHARD, JOURNAL = '.arrow', '.journal'
LAYOUT, VERSION = b'vlfusion.text', b'1'
#: Bytes of records in one batch of a shard. Memory of writers grows with it.
BATCH = 64 << 20
KEY = 32  # bytes of a key


class Row(NamedTuple):
    """Version of a record.

    Attributes:
        key: the 32 bytes of its key.
        written: time of writing in nanoseconds; of two versions the later one counts.
        record: its JSON; None if the record is removed.
        array: its features as a NumPy file, if any.
    """

    key: bytes
    written: int
    record: bytes | None
    array: bytes | None


class Entry(NamedTuple):
    """Place of a row in a journal, with what an index needs."""

    key: bytes
    written: int
    removed: bool
    start: int
    length: int


@cache
def arrow() -> ModuleType:
    """Import pyarrow, which only sharded stores need."""
    with needs('A sharded text store', 'pyarrow', 'shards'):
        import pyarrow.ipc
    return pyarrow


@cache
def schema() -> 'pyarrow.Schema':
    """Return the columns of shards and journals."""
    pa = arrow()
    return pa.schema([pa.field('key', pa.binary(KEY), nullable=False), pa.field('written', pa.int64(), nullable=False),
                      ('record', pa.large_binary()), ('array', pa.large_binary())], {LAYOUT: VERSION})


class Journal:
    """Journal of this process, made when it is opened. `append` returns when the row outlives the process."""

    def __init__(self, folder: Path):
        make_folder(folder)
        self.path = folder / f'{machine()}-{os.getpid()}-{uuid.uuid4().hex[:8]}{JOURNAL}'
        self._process = os.getpid()
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, 'O_BINARY', 0))
        self.rows = self.size = 0
        self._write(schema().serialize())

    @property
    def is_own(self) -> bool:
        """True if this process may append. A forked child may not, nor the owner after another process took it."""
        return self._process == os.getpid() and self.path.exists()

    def append(self, row: Row) -> tuple[int, int]:
        """Append a row; return its first byte and its length.

        Raises:
            OSError: the disk is full, or fails in another way; the journal is as before.
        """
        start = self.size
        self._write(_batch([row]).serialize())
        self.rows += 1
        return start, self.size - start

    def close(self) -> None:
        """Close the file; the journal stays."""
        if self._process == os.getpid():
            os.close(self._file)

    def _write(self, buffer: 'pyarrow.Buffer') -> None:
        rest = memoryview(buffer)
        try:
            while rest:
                rest = rest[os.write(self._file, rest):]
        except OSError:
            os.ftruncate(self._file, self.size)  # a part of a row would hide the rows after it
            raise
        self.size += buffer.size


def entries(path: Path, start: int = 0) -> Iterator[Entry]:
    """Yield the rows of a journal from a byte on, without one that is not complete.

    Raises:
        FileNotFoundError: the journal has become a shard.
    """
    with path.open('rb') as file:
        file.seek(start)
        data = file.read()
    for at, length, batch in _messages(data):
        key, written, record = (batch.column(index)[0] for index in range(3))
        yield Entry(key.as_py(), written.as_py(), not record.is_valid, start + at, length)


def row_in_journal(path: Path, start: int, length: int) -> Row:
    """Read one row of a journal. Errors as for `entries`."""
    with path.open('rb') as file:
        file.seek(start)
        data = file.read(length)
    for _, _, batch in _messages(data):
        return _row(batch, 0)
    raise DataError(f'The journal {path} is damaged at byte {start}.',
                    'Remove the file, and run `vlfusion describe CONFIG`, which makes its records again.')


def journal_batches(paths: Iterable[Path]) -> Iterator['pyarrow.RecordBatch']:
    """Yield the rows of journals, one in a batch."""
    for path in paths:
        yield from (batch for _, _, batch in _messages(path.read_bytes()))


def _messages(data: bytes) -> Iterator[tuple[int, int, 'pyarrow.RecordBatch']]:
    """Yield the start, the length and the batch of each whole message."""
    pa, at = arrow(), 0
    reader = pa.BufferReader(data)
    while at < len(data):
        try:
            message = pa.ipc.read_message(reader)
        except (EOFError, OSError, pa.ArrowInvalid):  # the process is writing it, or was killed
            return
        if message.type == 'record batch':
            yield at, reader.tell() - at, pa.ipc.read_record_batch(message, schema())
        at = reader.tell()


class Shard:
    """Shard of a store, mapped into memory.

    Raises:
        FileNotFoundError: it was merged into another shard.
        DataError: it is damaged, or of another version.
    """

    def __init__(self, path: Path):
        pa = arrow()
        self.path = path
        try:
            reader = pa.ipc.open_file(pa.memory_map(str(path)))
            if not reader.schema.equals(schema(), check_metadata=True):
                raise DataError(f'{path} is no shard of a text store of version {VERSION.decode()}.',
                                'Move the file out of the store.')
            self.batches = [reader.get_batch(index) for index in range(reader.num_record_batches)]
            for batch in self.batches:
                batch.validate(full=True)
        except FileNotFoundError:
            raise
        except (OSError, pa.ArrowException) as error:
            raise DataError(f'The shard {path} is damaged: {error}.',
                            'Remove the file, and run `vlfusion describe CONFIG`, which makes its records again.'
                            ) from error
        self._ends = list(accumulate(batch.num_rows for batch in self.batches))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @property
    def keys(self) -> UInt8[np.ndarray, 'row 32']:
        """The keys."""
        return np.concatenate([np.empty((0, KEY), np.uint8), *(
            np.frombuffer(batch.column(0).buffers()[1], np.uint8, batch.num_rows * KEY).reshape(-1, KEY)
            for batch in self.batches)])  # pyarrow's own conversions import pandas, which takes longer than the rest

    @property
    def written(self) -> Int64[np.ndarray, ' row']:
        """The time of each row."""
        return np.concatenate([np.empty(0, np.int64), *(
            np.frombuffer(batch.column(1).buffers()[1], np.int64, batch.num_rows) for batch in self.batches)])

    @property
    def removed(self) -> Bool[np.ndarray, ' row']:
        """True for each row that removes its record."""
        columns = [batch.column(2) for batch in self.batches]
        return np.concatenate([np.empty(0, bool), *(_nulls(column.buffers()[0], len(column)) for column in columns)])

    def row(self, index: int) -> Row:
        """Read a row."""
        batch = int(np.searchsorted(self._ends, index, 'right')) if len(self._ends) > 1 else 0
        return _row(self.batches[batch], index - (self._ends[batch - 1] if batch else 0))


def _nulls(validity: 'pyarrow.Buffer | None', count: int) -> Bool[np.ndarray, ' row']:
    if validity is None:
        return np.zeros(count, bool)
    return np.unpackbits(np.frombuffer(validity, np.uint8), count=count, bitorder='little') == 0


def write_shard(path: Path, batches: Iterable['pyarrow.RecordBatch']) -> None:
    """Write a shard, whole or not at all, and onto the disk: the files that it replaces may then be removed."""
    pa = arrow()
    with whole(path) as temporary:
        with pa.OSFile(str(temporary), 'wb') as file, pa.ipc.new_file(file, schema()) as writer:
            for batch in _joined(batches):
                writer.write_batch(batch)
        with temporary.open('r+b') as file:
            os.fsync(file.fileno())


def _joined(batches: Iterable['pyarrow.RecordBatch']) -> Iterator['pyarrow.RecordBatch']:
    """Join batches to fewer ones of about `BATCH` bytes."""
    group, size = [], 0
    for batch in batches:
        if group and size + batch.nbytes > BATCH:
            yield from _as_one(group)
            group, size = [], 0
        group.append(batch)
        size += batch.nbytes
    yield from _as_one(group)


def _as_one(batches: list['pyarrow.RecordBatch']) -> list['pyarrow.RecordBatch']:
    return arrow().Table.from_batches(batches, schema()).combine_chunks().to_batches()


def _batch(rows: Iterable[Row]) -> 'pyarrow.RecordBatch':
    return arrow().record_batch([list(column) for column in zip(*rows, strict=True)], schema=schema())


def _row(batch: 'pyarrow.RecordBatch', index: int) -> Row:
    return Row(*(column[index].as_py() for column in batch.columns))
