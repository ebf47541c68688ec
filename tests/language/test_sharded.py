"""A sharded store holds what a folder of small files holds: through kills, several writers and compaction."""

import multiprocessing
import os
import pickle
import random
import signal
import time

import numpy as np
import pytest

pytest.importorskip('pyarrow', reason="pip install 'vlfusion[shards]'")

from vlfusion.errors import DataError, UnknownNameError
from vlfusion.language import sharded
from vlfusion.language.sharded import ShardedStore
from vlfusion.language.shards import Journal, Row, Shard
from vlfusion.language.store import FAILURES, TextStore, open_store

FEATURES = np.arange(12, dtype=np.float32).reshape(3, 4)
fork = multiprocessing.get_context('fork')


def key(number: int) -> str:
    return f'{number:064x}'


@pytest.fixture
def store(tmp_path) -> ShardedStore:
    return ShardedStore(tmp_path / 'text.shards')


@pytest.fixture
def small(monkeypatch) -> None:
    """Shards of eight records, merged when there are four."""
    monkeypatch.setattr(sharded, 'ROWS', 8)
    monkeypatch.setattr(sharded, 'MOST_SMALL', 4)


def files(store: ShardedStore, suffix: str = '') -> list[str]:
    return sorted(path.name for path in store.root.rglob(f'*{suffix}') if path.is_file() and path.name != '.lock')


def test_the_ending_of_the_path_chooses(tmp_path):
    assert type(open_store(tmp_path / 'text')) is TextStore
    store = open_store(str(tmp_path / 'text.shards'))
    assert type(store) is ShardedStore and open_store(tmp_path / 'text.shards').root == store.root


def test_a_record_comes_back_before_and_after_it_is_in_a_shard(store):
    assert not store.has('features', key(1))
    store.write('features', key(1), {'text': 'Grün', 'tokens': 3, 'api_key': 's3cret'}, FEATURES)
    for _ in range(2):
        for reader in (store, ShardedStore(store.root), pickle.loads(pickle.dumps(store))):
            assert reader.has('features', key(1)) and not reader.has('paragraphs', key(1))
            assert reader.checked('features', key(1)) == {'text': 'Grün', 'tokens': 3}
            np.testing.assert_array_equal(reader.features(key(1)), FEATURES)
            assert reader.features(key(1)).flags.writeable
        store.close()
    assert [name[-6:] for name in files(store)] == ['.arrow']


def test_what_is_missing(store, small):
    assert store.missing('features', [key(3)]) == [key(3)]
    for number in range(20):
        store.write('features', key(number), {}, FEATURES)
    assert store.missing('features', map(key, range(18, 22))) == [key(20), key(21)]
    assert list(store.keys('features')) == [key(number) for number in range(20)]
    for reading in (lambda: store.read('features', key(20)), lambda: store.features(key(20))):
        with pytest.raises(DataError, match='no record .* in .*features'):
            reading()
    with pytest.raises(UnknownNameError, match='Did you mean features'):
        store.has('feature', key(1))
    with pytest.raises(DataError, match='64 hexadecimal'):
        store.has('features', 'abc')


def test_the_last_version_counts_and_removal_is_one(store, small, monkeypatch):
    other = ShardedStore(store.root)
    monkeypatch.setattr(time, 'time_ns', lambda: 5)  # a clock that stands still
    for number in range(30):
        (store, other)[number % 2].write(FAILURES, key(number % 3), {'error': str(number)})
    assert [other.read(FAILURES, key(number))['error'] for number in range(3)] == ['27', '28', '29']
    other.remove(FAILURES, key(1))
    for last in (store, other, ShardedStore(store.root)):
        assert [last.has(FAILURES, key(number)) for number in range(3)] == [True, False, True]
        assert list(last.keys(FAILURES)) == [key(0), key(2)] and last.missing(FAILURES, [key(1)]) == [key(1)]
    other.compact()
    store.compact()
    assert store.read(FAILURES, key(2)) == {'error': '29'} and list(store.keys(FAILURES)) == [key(0), key(2)]
    assert sum(len(Shard(path)) for path in store.root.rglob('*.arrow')) == 3, 'the removal is kept'


def test_files_stay_few_and_readers_follow(store, small):
    reader = ShardedStore(store.root)
    for number in range(200):
        store.write('features', key(number), {'number': number}, FEATURES)
        assert reader.read('features', key(number)) == {'number': number}
        assert reader.has('features', key(number // 2))
    assert len(files(store)) < 8
    store.compact()
    assert len(files(store)) == 1
    assert [reader.read('features', key(number))['number'] for number in range(200)] == list(range(200))


def test_many_processes_leave_few_files(store, small):
    for number in range(40):
        ShardedStore(store.root).write('paragraphs', key(number), {'text': str(number)})
        ShardedStore(store.root).close()
    writer = fork.Process(target=_fill, args=(store.root, 0, range(40, 60)))
    writer.start()
    writer.join()
    store.compact()
    assert list(store.keys('paragraphs')) == [key(number) for number in range(40)]
    assert store.features(key(59))[0, 0] == 59


def test_half_a_row_is_no_record(store, tmp_path):
    folder = store.root / 'features'
    journal = Journal(folder)
    journal.append(Row(bytes.fromhex(key(1)), 1, b'{}', None))
    journal.append(Row(bytes.fromhex(key(2)), 1, b'{"text": "cut"}', None))
    whole = journal.path.read_bytes()
    for size in (*range(0, len(whole), 7), len(whole) - 1):
        journal.path.write_bytes(whole[:size])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store, '_stages', {})
            assert not store.has('features', key(2))
    journal.path.write_bytes(whole)
    assert store.read('features', key(2)) == {'text': 'cut'}


def test_a_full_disk_leaves_the_journal_as_it_was(store, monkeypatch):
    store.write('paragraphs', key(1), {'text': 'A wall.'})
    write = os.write

    def full(file, data):
        monkeypatch.setattr(os, 'write', lambda *_: (_ for _ in ()).throw(OSError(28, 'No space left on device')))
        return write(file, data[:100])

    monkeypatch.setattr(os, 'write', full)
    with pytest.raises(OSError, match='No space'):
        store.write('paragraphs', key(2), {'text': 'A road.'})
    monkeypatch.setattr(os, 'write', write)
    store.write('paragraphs', key(3), {'text': 'A tree.'})
    assert list(ShardedStore(store.root).keys('paragraphs')) == [key(1), key(3)]


@pytest.mark.parametrize('damage', ['cut', 'empty', 'foreign'])
def test_a_damaged_shard_is_named(store, damage):
    store.write('features', key(1), {}, FEATURES)
    store.close()
    [path] = store.root.rglob('*.arrow')
    data = path.read_bytes()
    damaged = {'cut': data[:-20], 'empty': b'', 'foreign': data.replace(b'vlfusion.text', b'vlfusion.tent')}
    path.write_bytes(damaged[damage])
    with pytest.raises(DataError, match=path.name):
        ShardedStore(store.root).has('features', key(1))


def test_a_damaged_record_names_its_shard_and_can_be_written_again(store):
    store.put('features', key(1), b'{"tokens": 3}', b'no array')
    store.put('paragraphs', key(1), b'{"text": "cut')
    assert not store.is_intact('features', key(1)) and not store.is_intact('paragraphs', key(1))
    with pytest.raises(DataError, match=f'{key(1)} in .*text.shards.features.*is damaged'):
        store.features(key(1))
    store.write('features', key(1), {'tokens': 3}, FEATURES)
    assert store.is_intact('features', key(1))


def test_a_store_that_was_deleted_is_empty(store):
    store.write('features', key(1), {}, FEATURES)
    store.close()
    assert store.has('features', key(1))
    for path in (store.root / 'features').iterdir():
        path.unlink()
    assert not store.has('features', key(1))
    (store.root / 'features').rmdir()
    assert not store.has('features', key(1))
    store.write('features', key(1), {}, FEATURES)
    assert store.has('features', key(1))


def test_a_writer_whose_journal_was_taken_loses_nothing(store, monkeypatch):
    """Another machine may take a process for ended that only slept."""
    store.write('features', key(1), {'n': 1}, FEATURES)
    other = ShardedStore(store.root)
    monkeypatch.setattr(sharded, 'is_alive', lambda number: False)
    other.write('features', key(2), {'n': 2}, FEATURES)
    monkeypatch.undo()
    store.write('features', key(3), {'n': 3}, FEATURES)
    assert [each.read('features', key(number))['n'] for each in (store, other) for number in (1, 2, 3)] == [1, 2, 3] * 2


def _fill(root, pipe, numbers):
    sharded.ROWS, sharded.MOST_SMALL = 8, 4
    store = ShardedStore(root)
    for number in numbers:
        store.write('features', key(number), {'number': number}, np.full((20, 50), number, np.float32))
        if pipe:
            os.write(pipe, number.to_bytes(4, 'little'))


@pytest.mark.slow
def test_killed_writers_lose_nothing_that_they_confirmed(store):
    """Two writers at a time are killed at random moments, while a third compacts and a reader reads."""
    chance, confirmed, reader = random.Random(0), set(), ShardedStore(store.root)
    for turn in range(12):
        writers, (source, target) = [], os.pipe()
        for first in (0, 1):
            numbers = range(10_000 * turn + first, 10 ** 9, 2)
            writers.append(fork.Process(target=_fill, args=(store.root, target, numbers)))
            writers[-1].start()
        compacting = fork.Process(target=ShardedStore(store.root).compact)
        compacting.start()
        time.sleep(chance.uniform(0.05, 0.3))
        for writer in (*writers, *([compacting] if turn % 2 else [])):
            os.kill(writer.pid, signal.SIGKILL)
        for writer in (*writers, compacting):
            writer.join()
        os.close(target)
        with open(source, 'rb') as file:
            new = np.frombuffer(file.read(), '<u4').tolist()
        confirmed |= set(new)
        for number in new:
            assert reader.read('features', key(number)) == {'number': number}
    assert len(confirmed) > 100
    ShardedStore(store.root).compact()
    for each in (reader, ShardedStore(store.root)):
        assert not each.missing('features', map(key, confirmed))
        for found in each.keys('features'):
            assert (each.features(found) == each.checked('features', found)['number']).all()
    assert len(files(store, '.arrow')) == 1
