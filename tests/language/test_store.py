"""Records come back from the store, and damaged ones name their file."""

import multiprocessing
import os
import signal
import time

import numpy as np
import pytest

from vlfusion.errors import DataError, UnknownNameError
from vlfusion.language.store import TextStore

KEY = 'ab' * 32
FEATURES = np.arange(12, dtype=np.float32).reshape(3, 4)
fork = multiprocessing.get_context('fork')


@pytest.fixture
def store(tmp_path) -> TextStore:
    return TextStore(tmp_path / 'text')


def test_a_record_comes_back(store):
    assert not store.has('features', KEY)
    store.write('features', KEY, {'text': 'Grün', 'tokens': 3}, FEATURES)
    assert store.has('features', KEY) and not store.has('paragraphs', KEY)
    assert store.read('features', KEY) == {'text': 'Grün', 'tokens': 3}
    np.testing.assert_array_equal(store.features(KEY), FEATURES)
    assert sorted(file.name for file in store.root.rglob('*.*')) == [f'{KEY}.json', f'{KEY}.npy']
    assert (store.root / 'features' / 'ab' / f'{KEY}.json').is_file()


def test_a_missing_record_says_what_makes_it(store):
    for reading in (lambda: store.read('paragraphs', KEY), lambda: store.features(KEY)):
        with pytest.raises(DataError, match='vlfusion describe'):
            reading()
    with pytest.raises(UnknownNameError, match='Did you mean features'):
        store.has('feature', KEY)


@pytest.mark.parametrize('damage', [b'', b'{"text": "cut', b'[1]', b'\xff\xfe'])
def test_a_damaged_text_names_its_file(store, damage):
    store.write('paragraphs', KEY, {'text': 'whole'})
    store.path('paragraphs', KEY).write_bytes(damage)
    with pytest.raises(DataError, match=f'{KEY}.json is damaged'):
        store.read('paragraphs', KEY)


@pytest.mark.parametrize('damage', ['empty', 'cut', 'gone', 'pickle', 'shape', 'integers'])
def test_damaged_features_name_their_file(store, damage):
    store.write('features', KEY, {}, FEATURES)
    path = store.path('features', KEY).with_suffix('.npy')
    if damage in ('empty', 'cut'):
        path.write_bytes(path.read_bytes()[:-9 if damage == 'cut' else 0])
    elif damage == 'gone':
        path.unlink()
    else:
        wrong = {'pickle': np.array([{}], object), 'shape': FEATURES[0], 'integers': np.ones((2, 2), int)}
        np.save(path, wrong[damage])
    with pytest.raises(DataError, match=f'{KEY}.npy is damaged'):
        store.features(KEY)


def test_features_without_their_record_are_none(store):
    """Leftovers of a writer that was killed between the array and the text are no features."""
    store.write('features', KEY, {}, FEATURES)
    store.path('features', KEY).unlink()
    assert not store.has('features', KEY)
    with pytest.raises(DataError, match='no record'):
        store.features(KEY)


def _fill(root, seeds):
    store = TextStore(root)
    for seed in seeds:
        store.write('features', f'{seed % 40:064x}', {'seed': seed % 40}, np.full((200, 50), seed % 40, np.float32))


def test_a_killed_writer_leaves_whole_records_only(store):
    writer = fork.Process(target=_fill, args=(store.root, range(10 ** 9)))
    writer.start()
    while not store.has('features', f'{5:064x}'):
        assert writer.is_alive()
        time.sleep(0.001)
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    found = [f'{seed:064x}' for seed in range(40) if store.has('features', f'{seed:064x}')]
    assert len(found) > 5
    for key in found:
        assert (store.features(key) == store.read('features', key)['seed']).all()
    assert {file.suffix for file in store.root.rglob('*') if file.is_file()} <= {'.json', '.npy', '.partial'}


@pytest.mark.slow
def test_several_processes_fill_one_store(store):
    writers = [fork.Process(target=_fill, args=(store.root, range(start, start + 120))) for start in (0, 13)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    for seed in range(40):
        assert (store.features(f'{seed:064x}') == seed).all()
    assert len([file for file in store.root.rglob('*') if file.is_file()]) == 80


def test_secrets_are_never_written(store):
    names = ('api_key', 'openai_api_key', 'API-Key', 'token', 'hf_token', 'password', 'client_secret', 'Authorization')
    store.write('paragraphs', KEY, {'llm': [dict.fromkeys(names, 's3cret') | {'max_tokens': 5}], 'prompt_tokens': 7})
    assert 's3cret' not in store.path('paragraphs', KEY).read_text()
    assert store.read('paragraphs', KEY) == {'llm': [{'max_tokens': 5}], 'prompt_tokens': 7}
