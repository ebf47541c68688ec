"""Measure text stores: one sharded store of drawn records, and the file formats that it could have been made of.

    python performance/store.py size --records 10000 100000 1000000       # 6 GB on the disk for a while
    python performance/store.py formats                                   # lance only if pylance is installed

`size` draws records with features of 12 tokens of 96 numbers (4.7 kB) and 0.7 kB of JSON. Each measurement of a store
opens it in a new process, with its files in the page cache. Writing leaves out the search of records for secrets.
`missing` looks for all keys and as many that are absent. `packed` reads texts of the same shape from the packed form of
a data set. `formats` reads single rows of features of 100 tokens of 384 numbers, in random order.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import numpy as np

from vlfusion.data.packed import PackedPairDataset, write_packed
from vlfusion.language.store import open_store

TOKENS, DIM = 12, 96
#: Records that are read one by one.
READS = 5000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('what', choices=('size', 'formats'))
    parser.add_argument('--records', type=int, nargs='+', default=[10_000, 100_000, 1_000_000], help='size: records')
    parser.add_argument('--rows', type=int, default=2000, help='formats: rows')
    parser.add_argument('--folder', help='folder for temporary files')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        if args.what == 'formats':
            time_formats(Path(folder), args.rows)
            return
        for count in args.records:
            time_store(Path(folder) / f'{count}.shards', count)
        time_folder(Path(folder) / 'text', min(10_000, *args.records))
        time_packed(Path(folder) / 'packed.safetensors')


def key_of(number: int) -> str:
    return sha256(b'%d' % number).hexdigest()


def record_of(number: int) -> tuple[dict, np.ndarray]:
    features = np.random.default_rng(number % 1000).random((TOKENS, DIM), np.float32) + np.float32(number)
    text = 'The image shows a bright patch in its upper left and an empty background. ' * 7
    keys = {'paragraphs': [key_of(-number)]}
    return {'text': f'{number}: {text}', 'tokens': TOKENS, 'dim': DIM, 'keys': keys}, features


def fill(root: Path, count: int) -> None:
    store = open_store(root)
    for number in range(count):
        record, features = record_of(number)
        array = BytesIO()
        np.save(array, features)
        store.put('features', key_of(number), json.dumps(record).encode(), array.getvalue())
    store.close()


def time_store(root: Path, count: int) -> None:
    start = time.perf_counter()
    fill(root, count)
    writing = time.perf_counter() - start
    paths = [path for path in root.rglob('*') if path.is_file()]
    size = sum(path.stat().st_size for path in paths)
    print(f'{count} records: written in {writing:.0f} s ({writing / count * 1e3:.2f} ms each), {len(paths)} files, '
          f'{size / 1e9:.2f} GB', flush=True)
    for name, measure in (('open', opening), ('missing', missing), ('read', reading)):
        print(f'    {name}: {apart(measure, root, count)}', flush=True)
    start = time.perf_counter()
    open_store(root).compact()
    print(f'    compact: {time.perf_counter() - start:.1f} s, then {len(list(root.rglob("*.arrow")))} shards')
    for name, measure in (('open', opening), ('read', reading)):
        print(f'    then {name}: {apart(measure, root, count)}', flush=True)


def opening(root: Path, count: int) -> str:
    open_store(root.with_name('empty.shards')).has('features', key_of(0))  # imports
    start, cpu = time.perf_counter(), time.process_time()
    assert open_store(root).has('features', key_of(0))
    return f'{time.perf_counter() - start:.3f} s until the first record is there, CPU {time.process_time() - cpu:.3f} s'


def missing(root: Path, count: int) -> str:
    keys = [key_of(number) for number in range(2 * count)]
    before = peak()
    start, cpu = time.perf_counter(), time.process_time()
    absent = open_store(root).missing('features', keys)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    assert absent == keys[count:]
    return (f'{seconds:.2f} s (CPU {cpu:.2f} s) for {len(keys)} keys of which half are missing; peak of memory '
            f'{peak():.2f} GiB, before {before:.2f} GiB')


def peak() -> float:
    """Return the peak of this process's memory in GiB. `getrusage` counts its parent's too."""
    [line] = (line for line in Path('/proc/self/status').read_text().splitlines() if line.startswith('VmHWM'))
    return int(line.split()[1]) / 2**20


def reading(root: Path, count: int) -> str:
    numbers = np.random.default_rng(0).integers(0, count, READS).tolist()
    keys, store = list(map(key_of, numbers)), open_store(root)
    store.has('features', keys[0])
    features, seconds = timed(store.features, keys)
    for number, array in zip(numbers[:200], features, strict=False):
        np.testing.assert_array_equal(array, record_of(number)[1])
    del features
    return f'features {seconds}; record with its checks {timed(lambda key: store.checked("features", key), keys)[1]}'


def timed(read: Callable[[object], object], places: list) -> tuple[list, str]:
    results, seconds = [], []
    for place in places:
        start = time.perf_counter()
        results.append(read(place))
        seconds.append(time.perf_counter() - start)
    return results, f'{np.mean(seconds) * 1e3:.3f} ms (median {median(seconds) * 1e3:.3f}, p99 ' \
                    f'{np.percentile(seconds, 99) * 1e3:.3f})'


def apart(measure: Callable[[Path, int], str], root: Path, count: int) -> str:
    """Measure in a new process."""
    with get_context('spawn').Pool(1) as pool:
        return pool.apply(measure, (root, count))


def time_folder(root: Path, count: int) -> None:
    start = time.perf_counter()
    fill(root, count)
    print(f'folder of small files, {count} records: written in {time.perf_counter() - start:.0f} s')
    for name, measure in (('missing', missing), ('read', reading)):
        print(f'    {name}: {apart(measure, root, count)}', flush=True)


def time_packed(path: Path, count: int = 1000) -> None:
    """Read texts of the same shape from the packed form, beside images of one pixel."""
    import torch
    pixel = torch.zeros(1, 1, 1)
    write_packed(path, ({'name': f'{number}', 'source_a': pixel, 'source_b': pixel, 'text': torch.tensor(
        record_of(number)[1]), 'text_mask': torch.ones(TOKENS, dtype=torch.bool)} for number in range(count)), 'ivf')
    packed = PackedPairDataset(path)
    places = np.random.default_rng(0).integers(0, count, READS).tolist()
    print(f'packed form, {count} pairs of one pixel: {timed(packed.record, places)[1]}')


def time_formats(folder: Path, count: int) -> None:
    """Write the same rows in each format, and read single ones in random order."""
    import pyarrow as pa
    import pyarrow.parquet
    random = np.random.default_rng(0)
    arrays = [random.random((100, 384), np.float32).tobytes() for _ in range(count)]
    table = pa.table({'key': [bytes.fromhex(key_of(number)) for number in range(count)],
                      'record': [('text ' * 200).encode()] * count, 'array': pa.array(arrays, pa.large_binary())})
    readers = {}
    with pa.OSFile(str(folder / 'x.arrow'), 'wb') as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    batch = pa.ipc.open_file(pa.memory_map(str(folder / 'x.arrow'))).get_batch(0)
    readers['Arrow IPC, mapped'] = folder / 'x.arrow', lambda row: [column[row].as_py() for column in batch.columns]
    for rows, compression in ((1, 'none'), (16, 'none'), (256, 'none'), (16, 'zstd')):
        path = folder / f'{rows}{compression}.parquet'
        pa.parquet.write_table(table, path, row_group_size=rows, compression=compression, use_dictionary=False)
        readers[f'Parquet, row groups of {rows}, {compression}'] = path, parquet_reader(path, rows)
    try:
        import lance
    except ImportError as error:
        print(f'without Lance: {error}')
    else:
        dataset = lance.write_dataset(table, str(folder / 'x.lance'))
        readers['Lance'] = folder / 'x.lance', lambda row: dataset.take([row]).to_pylist()[0]
    rows = random.integers(0, count, 300).tolist()
    for name, (path, read) in readers.items():
        files = [path] if path.is_file() else [file for file in path.rglob('*') if file.is_file()]
        size = sum(file.stat().st_size for file in files)
        results, seconds = timed(read, rows)
        values = [(result if isinstance(result, list) else list(result.values()))[2] for result in results]
        assert values == [arrays[row] for row in rows]
        print(f'{name:35} {seconds}, {size / count / 1e3:.0f} kB a row', flush=True)


def parquet_reader(path: Path, rows: int) -> Callable[[int], dict]:
    from pyarrow.parquet import ParquetFile
    file = ParquetFile(path, memory_map=True)
    return lambda row: {name: column[row % rows].as_py() for name, column in zip(
        ('key', 'record', 'array'), file.read_row_group(row // rows, use_threads=False).columns, strict=True)}


if __name__ == '__main__':
    main()
