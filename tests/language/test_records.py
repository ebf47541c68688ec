"""Records of wrong forms: each is named by one sentence, and nothing else is raised."""

import json

import numpy as np
import pytest

from vlfusion.errors import DataError
from vlfusion.language.records import DEPTH, fault, parse_record
from vlfusion.language.store import TextStore

KEY = 'ab' * 32
SEEN = {'text': 'A wall.', 'box': [0, 0, 0.5, 0.5], 'area': 0.2, 'score': 0.9, 'captioner': 'x'}
PARAGRAPH = {'text': 'A wall.', 'model': 'm', 'seconds': 1.5, 'date': 'today', 'cost': None}
#: Stage, record, and what is said of it.
WRONG = {
    'no text': ('paragraphs', {}, "'text' is missing"), 'text a number': ('paragraphs', {'text': 3},
                                                                          "'text' is 3, not a text"),
    'text a list': ('paragraphs', {'text': ['a']}, "'text' is ['a']"), 'text null': ('paragraphs', {'text': None},
                                                                                     "'text'"),
    'texts of numbers': ('paragraphs', {'text': 'a', 'texts': [1]}, "'texts[0]' is 1, not a text"),
    'texts a text': ('paragraphs', {'text': 'a', 'texts': 'b'}, "'texts' is 'b', not a list"),
    'model a list': ('paragraphs', PARAGRAPH | {'model': []}, "'model'"),
    'seconds a text': ('paragraphs', PARAGRAPH | {'seconds': 'long'}, "'seconds' is 'long', not a number"),
    'seconds true': ('paragraphs', PARAGRAPH | {'seconds': True}, "'seconds'"),
    'seconds NaN': ('paragraphs', PARAGRAPH | {'seconds': float('nan')}, "'seconds'"),
    'llm a text': ('paragraphs', PARAGRAPH | {'llm': 'x'}, "'llm' is 'x', not an object"),
    'images of texts': ('paragraphs', PARAGRAPH | {'images': ['x']}, "'images[0]'"),
    'no observations': ('observations', {}, "'observations' is missing"),
    'observations a text': ('observations', {'observations': 'x'}, "'observations'"),
    'an observation a text': ('observations', {'observations': ['x']}, "'observations[0]'"),
    'an observation without text': ('observations', {'observations': [SEEN, {}]}, "'observations[1].text' is missing"),
    'an empty observation': ('observations', {'observations': [{'text': ' '}]},
                             "'observations[0]': An observation has no"),
    'a box of three': ('observations', {'observations': [SEEN | {'box': [0, 0, 1]}]}, "'observations[0].box'"),
    'a box of texts': ('observations', {'observations': [SEEN | {'box': list('abcd')}]}, "'observations[0].box'"),
    'a box outside': ('observations', {'observations': [SEEN | {'box': [0, 0, 2, 2]}]}, 'is not within the image'),
    'an area as text': ('observations', {'observations': [SEEN | {'area': 'big'}]}, "'observations[0].area'"),
    'captioners a text': ('observations', {'observations': [], 'captioners': 'x'}, "'captioners'"),
    'tokens a text': ('features', {'text': 'a', 'tokens': '3'}, "'tokens'"),
    'other tokens': ('features', {'text': 'a', 'tokens': 9}, "'tokens' is 9, but the array beside it has 3")}


@pytest.mark.parametrize(('stage', 'record', 'said'), WRONG.values(), ids=WRONG)
def test_a_wrong_entry_is_named(tmp_path, stage, record, said):
    store = TextStore(tmp_path)
    path = store.path(stage, KEY)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(record))
    np.save(path.with_suffix('.npy'), np.ones((3, 4), np.float32))
    with pytest.raises(DataError) as caught:
        store.checked(stage, KEY)
    assert said in caught.value.problem and f'{KEY}.json' in caught.value.problem
    assert '\n' not in caught.value.problem and not store.is_intact(stage, KEY)


@pytest.mark.parametrize(('data', 'said'), [
    (b'', 'Expecting value'), (b'[1]', 'holds no record'), (b'null', 'holds no record'), (b'{"a": "\xff"}', 'codec'),
    (b'{"a": ' * 100_000, 'nested too deeply'),
    (b'{"a": ' + b'[' * DEPTH + b']' * DEPTH + b'}', f'more than {DEPTH} deep')])
def test_what_is_no_record(data, said):
    with pytest.raises(ValueError, match=said):
        parse_record(data)


def test_texts_of_a_record_can_be_encoded():
    assert parse_record(b'{"text": "A \\ud83d wall", "\\ud83d": ["\\ud83d"]}') == {
        'text': 'A \ufffd wall', '\ufffd': ['\ufffd']}


def test_a_record_by_hand_needs_its_text_alone():
    assert fault('paragraphs', {'text': 'A wall.', 'mine': {'a': [1]}}) == fault('observations',
                                                                                 {'observations': [SEEN]}) == ''


@pytest.mark.parametrize('array', [
    np.full((3, 4), np.nan, np.float32), np.full((3, 4), np.inf, np.float32), np.ones((0, 4), np.float32),
    np.ones((3, 4), np.int32), np.ones((1, 3, 4), np.float32), np.array([{}], object)])
def test_features_that_cannot_be_read_are_damaged(tmp_path, array):
    store = TextStore(tmp_path)
    store.write('features', KEY, {'text': 'A wall.'}, np.ones((3, 4), np.float32))
    assert store.is_intact('features', KEY)
    np.save(store.path('features', KEY).with_suffix('.npy'), array)
    for reading in (store.features, lambda key: store.checked('features', key)):
        with pytest.raises(DataError, match=f'{KEY}.npy is damaged'):
            reading(KEY)
    assert not store.is_intact('features', KEY)


def test_a_header_that_promises_too_much_allocates_nothing(tmp_path):
    store = TextStore(tmp_path)
    store.write('features', KEY, {'text': 'A wall.'}, np.ones((3, 4), np.float32))
    path = store.path('features', KEY).with_suffix('.npy')
    path.write_bytes(path.read_bytes().replace(b'(3, 4), }' + b' ' * 18, b'(3, 4444444444444444444), }'))
    with pytest.raises(DataError, match='bytes of features instead of'):
        store.features(KEY)
