"""Text store for millions of records, in few files.

    <root>/features/18d8....arrow       a shard: some thousand records, never changed
    <root>/features/9c1f....journal     the newest records of one process, until they fill a shard

A record is in the journal of its process when `write` returns, so a killed process loses nothing that it confirmed. A
full journal becomes a shard. Readers keep an index of all keys in memory, and follow the files of other processes. Of
several versions of a record, the one written last counts.
"""

import os
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from filelock import FileLock, Timeout

from vlfusion.errors import DataError
from vlfusion.files import LEFT_BEHIND, patiently
from vlfusion.language import shards
from vlfusion.language.shards import JOURNAL, KEY, SHARD, Journal, Row, Shard
from vlfusion.language.store import FAILURES, STAGES, TextStore
from vlfusion.system.processes import is_alive, machine

if TYPE_CHECKING:
    import pyarrow

#: A journal becomes a shard when it has this many rows or bytes: readers parse journals row by row.
ROWS, SIZE = 4096, 64 << 20
#: Shards below `SMALL` bytes are merged to ones of `MERGED` bytes when there are `MOST_SMALL` of them.
SMALL, MERGED, MOST_SMALL = 128 << 20, 256 << 20, 32
#: Largest shard that `compact` makes, in bytes.
LARGE = 1 << 30
#: Rows that came after the index and are kept beside it. With more, or a twentieth of all, a new index is sorted.
RECENT = 20_000
OPENED = 400  # shards that stay open; each takes a file handle, of which a process often has 1024
AT_ONCE = 1 << 16  # keys that are looked for at once
#: Nanoseconds within which two changes of a folder may have the same time.
TICK = 20_000_000


class _Place(NamedTuple):
    """Place of a version of a record: a row of a shard, or the bytes of a journal (`length` > 0)."""

    written: int
    removed: bool
    file: str
    at: int
    length: int = 0


class ShardedStore(TextStore):
    """Records in shards. `vlfusion.language.store.open_store` returns one for a path that ends in `.shards`.

    Args:
        root: the folder; made at the first write.
    """

    def __init__(self, root: str | os.PathLike):
        super().__init__(root)
        shards.arrow()
        self._stages: dict[str, _Shards] = {}

    def __reduce__(self) -> tuple[type, tuple[Path]]:
        return type(self), (self.root,)

    def path(self, stage: str, key: str) -> Path:
        """Return the file that holds the record of a key; the folder of its stage if there is none."""
        return self._stage(stage).path(_bytes(key))

    def has(self, stage: str, key: str) -> bool:
        return self._stage(stage).has(_bytes(key))

    def missing(self, stage: str, keys: Iterable[str]) -> list[str]:
        of_stage, rest, missing = self._stage(stage), iter(keys), []
        while group := list(islice(rest, AT_ONCE)):
            has = of_stage.has_each([_bytes(key) for key in group])
            missing += [key for key, there in zip(group, has, strict=True) if not there]
        return missing

    def keys(self, stage: str) -> Iterator[str]:
        return map(bytes.hex, self._stage(stage).all_keys())

    def remove(self, stage: str, key: str) -> None:
        if self.has(stage, key):
            self._stage(stage).add(_bytes(key), None, None)

    def close(self) -> None:
        for stage in self._stages.values():
            stage.close()

    def compact(self) -> None:
        """Merge small shards to large ones, without versions of records that no longer count.

        Other processes may read and write meanwhile.
        """
        for stage in (*STAGES, FAILURES):
            self._stage(stage).compact()

    def content(self, stage: str, key: str, record: bool = True, array: bool = False) -> tuple[bytes, bytes | None]:
        row = self._stage(stage).row(_bytes(key))
        if row is None:
            raise self._no_record(f'{key} in {self.root / stage}')
        return row.record, row.array

    def put(self, stage: str, key: str, record: bytes, array: bytes | None = None) -> None:
        self._stage(stage).add(_bytes(key), record, array)

    def place(self, stage: str, key: str, array: bool = False) -> str:
        return f'{key} in {self.path(stage, key)}'

    def _stage(self, stage: str) -> '_Shards':
        if stage not in self._stages:
            self._require_stage(stage)
            self._stages[stage] = _Shards(self.root / stage, self.root / '.lock')
        return self._stages[stage]


class _Shards:
    """Shards and journals of one stage, with their index."""

    def __init__(self, folder: Path, lock: Path):
        self._folder, self._lock_file = folder, lock
        self._lock = threading.RLock()
        self._opened: OrderedDict[str, Shard] = OrderedDict()
        self._index: _Index
        self._recent: dict[bytes, _Place]  # rows of journals, and of shards that came after the index
        self._shards: set[str]
        self._journals: dict[str, int]  # name of a journal -> bytes that were read
        self._seen: int | None  # time of the folder's last change, if that was seen
        self._forget()
        self._journal: Journal | None = None

    def path(self, key: bytes) -> Path:
        place = self._find(key)
        return self._folder / place.file if place else self._folder

    def has(self, key: bytes) -> bool:
        return self._find(key) is not None

    def has_each(self, keys: Sequence[bytes]) -> list[bool]:
        """Look for many keys at once."""
        with self._lock:
            self._refresh()
            has = self._index.has_each(keys).tolist()
            if self._recent:
                for index, key in enumerate(keys):
                    if key in self._recent:
                        has[index] = self._known(key) is not None
            return has

    def all_keys(self) -> list[bytes]:
        """Return all keys in their order."""
        with self._lock:
            self._refresh()
            keys = {key.tobytes() for key in self._index.keys[~self._index.removed]}
            return sorted(filter(self._known, keys | self._recent.keys()))

    def row(self, key: bytes) -> Row | None:
        """Read the newest version of a record; None if there is none."""
        while place := self._find(key):
            try:
                if place.length:
                    return shards.row_in_journal(self._folder / place.file, place.at, place.length)
                with self._lock:
                    return self._open(place.file).row(place.at)
            except FileNotFoundError:  # the journal became a shard, or the shard was merged
                with self._lock:
                    self._seen = None
                    if self._recent.get(key) == place:
                        del self._recent[key]
        return None

    def add(self, key: bytes, record: bytes | None, array: bytes | None) -> None:
        """Append a version of a record."""
        with self._lock:
            before = self._find(key, removed=True)
            row = Row(key, max(time.time_ns(), before.written + 1 if before else 0), record, array)
            if self._journal is None or not self._journal.is_own:
                self._begin()
            while True:
                start, length = self._journal.append(row)
                if self._journal.is_own:
                    break
                self._begin()  # another process took the journal for one of a killed process: perhaps without this row
            name = self._journal.path.name
            self._recent[key] = _Place(row.written, record is None, name, start, length)
            self._journals[name] = self._journal.size
            if self._journal.rows >= ROWS or self._journal.size >= SIZE:
                self.close()

    def close(self) -> None:
        """Make the journal of this process a shard."""
        with self._lock:
            journal, self._journal = self._journal, None
            if journal is None:
                return
            journal.close()
            if journal.is_own:
                self._seal([journal.path])
                self._merge_small()

    def compact(self) -> None:
        """Make journals of ended processes shards, and shards large. Versions that no longer count are left out."""
        with self._lock:
            if not self._folder.is_dir():
                return
            self.close()
            self._seal(self._abandoned())
            with FileLock(self._lock_file):
                self._merge(LARGE, lambda size, superseded: size < LARGE // 2 or superseded > 0.25)

    def _begin(self) -> None:
        """Begin a journal. Those that killed processes left become a shard."""
        if self._journal:
            self._journal.close()
        self._seal(self._abandoned())
        self._journal = Journal(self._folder)

    def _abandoned(self) -> list[Path]:
        """Take the journals of ended processes.

        Each is renamed first. So an owner that only seemed to have ended sees after each row that it was taken.
        """
        taken = []
        for path in self._folder.glob(f'*{JOURNAL}'):
            with suppress(OSError):
                owner, process, _ = path.name.split('-')
                unchanged = time.time() - path.stat().st_mtime
                if not is_alive(int(process)) if owner == machine() else unchanged > LEFT_BEHIND:
                    taken.append(path.rename(path.with_name(
                        f'{machine()}-{os.getpid()}-{uuid.uuid4().hex[:8]}{JOURNAL}')))
        return taken

    def _seal(self, journals: Sequence[Path]) -> None:
        """Make journals one shard. Their rows are always in a file: if this is interrupted, in both."""
        batches = shards.journal_batches(journals)
        if first := next(batches, None):
            shards.write_shard(self._folder / _shard_name(), chain([first], batches))
        for journal in journals:
            patiently(partial(journal.unlink, missing_ok=True))

    def _merge_small(self) -> None:
        if len(self._sizes(SMALL)) >= MOST_SMALL:
            with suppress(Timeout), FileLock(self._lock_file, timeout=0):  # otherwise another process merges them
                self._merge(MERGED, lambda size, superseded: size < SMALL)

    def _sizes(self, limit: int) -> dict[str, int]:
        """Return the sizes of shards below a limit, in the order of their names."""
        with os.scandir(self._folder) as files:
            sizes = {file.name: file.stat().st_size for file in files if file.name.endswith(SHARD)}
        return {name: size for name, size in sorted(sizes.items()) if size < limit}

    def _merge(self, limit: int, chosen: Callable[[int, float], bool]) -> None:
        """Merge the chosen shards to ones of at most `limit` bytes. A file is removed when its rows are in another.

        Args:
            limit: size of a shard in bytes.
            chosen: a function from the size of a shard and the share of its rows that no longer count.
        """
        self._rebuild()
        group: list[str] = []
        room = limit
        for name, size in self._sizes(limit=1 << 62).items():
            shard = self._open(name)
            if not chosen(size, 1 - len(self._index.rows(name)) / max(len(shard), 1)):
                continue
            if group and size > room:
                self._join(group)
                group, room = [], limit
            group.append(name)
            room -= size
        self._join(group)
        self._rebuild()

    def _join(self, names: Sequence[str]) -> None:
        count = {name: len(self._index.rows(name)) for name in names}
        if not names or (len(names) == 1 and count[names[0]] == len(self._open(names[0]))):
            return
        if any(count.values()):
            shards.write_shard(self._folder / _shard_name(), self._counting_rows(names))
        for name in names:
            self._opened.pop(name, None)
            patiently(partial((self._folder / name).unlink, missing_ok=True))

    def _counting_rows(self, names: Sequence[str]) -> Iterator['pyarrow.RecordBatch']:
        for name in names:
            rows, first = self._index.rows(name), 0
            for batch in self._open(name).batches:
                inside = rows[(rows >= first) & (rows < first + batch.num_rows)] - first
                yield batch if len(inside) == batch.num_rows else batch.take(shards.arrow().array(inside))
                first += batch.num_rows

    def _find(self, key: bytes, removed: bool = False) -> _Place | None:
        """Return the newest version of a record. One that removes it only if `removed`."""
        with self._lock:
            self._refresh()
            return self._known(key, removed)

    def _known(self, key: bytes, removed: bool = False) -> _Place | None:
        recent, place = self._recent.get(key), self._index.find(key)
        if recent and (place is None or recent.written >= place.written):
            place = recent
        return place if place and (removed or not place.removed) else None

    def _refresh(self) -> None:
        """Read what other processes have written."""
        try:
            while (changed := os.stat(self._folder).st_mtime_ns) != self._seen:  # a list may lack what came meanwhile
                self._scan()
                if abs(time.time_ns() - changed) < TICK:  # it may change again at the same time
                    self._seen = None
                    break
                self._seen = changed
        except FileNotFoundError:
            self._forget()
        for name in list(self._journals):
            if self._journal is None or name != self._journal.path.name:
                self._follow(name)

    def _forget(self) -> None:
        self._index, self._recent, self._shards, self._journals, self._seen = _Index(), {}, set(), {}, None
        self._opened.clear()

    def _scan(self) -> None:
        names = os.listdir(self._folder)
        there = {name for name in names if name.endswith(SHARD)}
        for name in names:
            if name.endswith(JOURNAL):
                self._journals.setdefault(name, 0)
        for name in self._journals.keys() - set(names):
            del self._journals[name]  # its rows stay, until its shard is seen
        new, room = sorted(there - self._shards), max(RECENT, len(self._index.keys) // 20)
        try:
            if self._shards - there or len(self._recent) + sum(len(self._open(name)) for name in new) > room:
                self._rebuild()
                return
            for name in new:
                self._add_recent(name)
        except FileNotFoundError:  # merged meanwhile
            self._rebuild()

    def _add_recent(self, name: str) -> None:
        shard = self._open(name)
        keys = shard.keys.tobytes()
        for row, (written, removed) in enumerate(zip(shard.written.tolist(), shard.removed.tolist(), strict=True)):
            self._keep(keys[row * KEY:(row + 1) * KEY], _Place(written, removed, name, row))
        self._shards.add(name)

    def _rebuild(self) -> None:
        """Sort the rows of all shards into a new index."""
        while True:
            names = sorted(self._sizes(limit=1 << 62)) if self._folder.is_dir() else []
            for name in self._opened.keys() - set(names):
                del self._opened[name]
            try:
                self._index = _Index([(name, self._open(name)) for name in names])
                break
            except FileNotFoundError:  # merged meanwhile
                continue
        self._shards = set(names)
        self._recent = {key: place for key, place in self._recent.items() if place.length}

    def _follow(self, name: str) -> None:
        """Read the new rows of a journal."""
        try:
            if os.stat(self._folder / name).st_size <= self._journals[name]:
                return
            for entry in shards.entries(self._folder / name, self._journals[name]):
                self._keep(entry.key, _Place(entry.written, entry.removed, name, entry.start, entry.length))
                self._journals[name] = entry.start + entry.length
        except FileNotFoundError:  # the next look at the folder finds its shard
            self._seen = None

    def _keep(self, key: bytes, place: _Place) -> None:
        if key not in self._recent or self._recent[key].written <= place.written:
            self._recent[key] = place

    def _open(self, name: str) -> Shard:
        if name not in self._opened:
            self._opened[name] = Shard(self._folder / name)
            if len(self._opened) > OPENED:
                self._opened.popitem(last=False)
        self._opened.move_to_end(name)
        return self._opened[name]


class _Index:
    """Newest version of each record in some shards, sorted by the last eight bytes of the keys."""

    def __init__(self, opened: Iterable[tuple[str, Shard]] = ()):
        self._names: list[str] = []
        keys, written, removed, places = [np.empty((0, KEY), np.uint8)], [], [], []
        for number, (name, shard) in enumerate(opened):
            self._names.append(name)
            keys.append(shard.keys)
            written.append(shard.written)
            removed.append(shard.removed)
            places.append((number << 32) + np.arange(len(shard)))
        self.keys = np.concatenate(keys)
        ends = _ends(self.keys)
        written, removed, places = (
            np.concatenate([np.empty(0, kind), *column])
            for column, kind in ((written, np.int64), (removed, bool), (places, np.int64)))
        order = np.argsort(ends)
        if (ends[order[1:]] == ends[order[:-1]]).any():  # versions of a record, of which only the newest is kept
            order = np.lexsort((written, ends))
            twins = np.flatnonzero(ends[order[1:]] == ends[order[:-1]])
            order = np.delete(order, twins[(self.keys[order[twins]] == self.keys[order[twins + 1]]).all(1)])
        self.keys, self._ends = self.keys[order], ends[order]
        self._written, self.removed, self._places = written[order], removed[order], places[order]
        self._rows = np.sort(self._places)

    def find(self, key: bytes) -> _Place | None:
        """Return the place of the newest version of a record; None if there is none."""
        end = np.frombuffer(key, '<u8', offset=KEY - 8)[0]
        first, last = (int(self._ends.searchsorted(end, side)) for side in ('left', 'right'))
        for at in reversed(range(first, last)):  # other keys may have the same end
            if self.keys[at].tobytes() == key:
                place = int(self._places[at])
                return _Place(int(self._written[at]), bool(self.removed[at]), self._names[place >> 32],
                              place & 0xffffffff)
        return None

    def has_each(self, keys: Sequence[bytes]) -> np.ndarray:
        """Return a boolean for each key: True if it has a record that is not removed."""
        wanted = np.frombuffer(b''.join(keys), np.uint8).reshape(-1, KEY)
        if not len(self._ends):
            return np.zeros(len(wanted), bool)
        ends = _ends(wanted)
        at, end = self._ends.searchsorted(ends), self._ends.searchsorted(ends, 'right')
        several = np.flatnonzero(end - at > 1)
        at[at == len(self._ends)] = 0
        has = (self.keys[at] == wanted).all(1) & ~self.removed[at]
        for index in several:
            place = self.find(wanted[index].tobytes())
            has[index] = place is not None and not place.removed
        return has

    def rows(self, name: str) -> np.ndarray:
        """Return the rows of a shard that are the newest versions of their records, in their order."""
        number = self._names.index(name)
        first, end = self._rows.searchsorted([number << 32, (number + 1) << 32])
        return self._rows[first:end] & 0xffffffff


def _ends(keys: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(keys[:, KEY - 8:]).view('<u8').ravel()


def _shard_name() -> str:
    return f'{time.time_ns():016x}-{uuid.uuid4().hex[:8]}{SHARD}'


def _bytes(key: str) -> bytes:
    try:
        if len(data := bytes.fromhex(key)) == KEY:
            return data
    except ValueError:
        pass
    raise DataError(f'{key!r} is no key of a text store.', f'A key has {2 * KEY} hexadecimal digits.')
