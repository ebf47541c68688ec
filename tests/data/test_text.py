"""Text features are read from files or the store, and faults in them are named."""

import dataclasses

import numpy as np
import pytest

from vlfusion.data.dataset import PairDataset
from vlfusion.data.joining import join_rule
from vlfusion.data.pairs import find_pairs
from vlfusion.data.text import FeatureFiles, StoredText, WrittenText, given_texts, pad, text_sources
from vlfusion.errors import ConfigError, DataError
from vlfusion.language.keys import Content, Keys
from vlfusion.language.store import TextStore
from vlfusion.language.subjects import image_digest

PATTERN = 'TextFeature/{name}.npy'


@pytest.fixture
def pairs(root):
    return find_pairs(root, 'ir', 'vi', modality_a='infrared', modality_b='visible')


def save(root, *shapes, **kwargs):
    (root / 'TextFeature').mkdir()
    for name, shape in enumerate(shapes, 1):
        np.save(root / f'TextFeature/{name}.npy', np.full(shape, name, **kwargs))
    return FeatureFiles(root, PATTERN)


def test_feature_files(root, pairs):
    source = save(root, (1, 3, 8), (5, 8), (1, 1, 8), dtype=np.float16)
    source.check(pairs)
    assert (source.dim, source.length(pairs), source.length(pairs[:1])) == (8, 5, 3)
    assert [source.load(pair).shape for pair in pairs] == [(3, 8), (5, 8), (1, 8)]
    assert source.load(pairs[1]).dtype == np.float32 and source.load(pairs[1]).max() == 2


def test_feature_files_name_every_offender(root, pairs):
    source = save(root, (1, 3, 8), (2, 3, 8), dtype=float)
    with pytest.raises(DataError) as caught:
        source.check(pairs)
    assert '2 of 3 pairs' in caught.value.problem
    assert '2: ' in caught.value.problem and 'float64 (2, 3, 8)' in caught.value.problem
    assert f'3: there is no file {root}/TextFeature/3.npy' in caught.value.problem
    assert 'vlfusion describe' in caught.value.remedy and str(root / PATTERN) in caught.value.remedy


def test_feature_files_of_unequal_width(root, pairs):
    with pytest.raises(DataError, match='2: 7 wide; most are 8 wide'):
        save(root, (3, 8), (3, 7), (3, 8), dtype=float).check(pairs)


def test_feature_files_that_are_damaged_or_pickled(root, pairs):
    source = save(root, (3, 8), (3, 8), (3, 8), dtype=float)
    whole = (root / 'TextFeature/1.npy').read_bytes()
    (root / 'TextFeature/1.npy').write_bytes(whole[:-1])
    np.save(root / 'TextFeature/2.npy', np.array([{}]), allow_pickle=True)
    (root / 'TextFeature/3.npy').write_bytes(b'')
    with pytest.raises(DataError) as caught:
        source.check(pairs)
    assert caught.value.problem.count('cannot be read as an array') == 3


def test_pattern_without_a_name_serves_one_pair_only(root, pairs):
    save(root, (3, 8), dtype=float)
    source = FeatureFiles(root, 'TextFeature/1.npy')
    source.check(pairs[:1])
    with pytest.raises(ConfigError, match='Every pair would read the same'):
        source.check(pairs)


@pytest.fixture
def language(tmp_path):
    return dict(store=str(tmp_path / 'text'), captioners=[dict(type='MeasuredCaptioner')], llm=dict(type='TemplateLLM'),
                prompt='paragraph', encoder=dict(type='TransformersTextEncoder', model='any'))


def describe(language, path, modality, array):
    key = Keys(language).feature(Content(image_digest(path), modality))
    TextStore(language['store']).write('features', key, {}, array.astype(np.float32))


def test_stored_text(language, pairs):
    for number, pair in enumerate(pairs, 1):
        describe(language, pair.path_a, 'infrared', np.full((number, 4), 1))
        describe(language, pair.path_b, 'visible', np.full((2, 4), 2))
    source = StoredText(language)
    source.check(pairs)
    assert (source.dim, source.length(pairs)) == (4, 5)
    assert source.load(pairs[2])[:, 0].tolist() == [1, 1, 1, 2, 2]
    assert StoredText(language, 'source_a/paragraph').load(pairs[2])[:, 0].tolist() == [1, 1, 1]
    assert StoredText(language, 'source_b/paragraph').load(pairs[2])[:, 0].tolist() == [2, 2]
    with pytest.raises(ConfigError, match='Did you mean pair/paragraph'):
        StoredText(language, 'pair/paragraf')


def test_stored_text_names_every_image_to_describe(language, pairs):
    describe(language, pairs[0].path_a, 'infrared', np.ones((1, 4)))
    describe(language, pairs[0].path_b, 'infrared', np.ones((1, 4)))  # described as what it is not
    describe(language, pairs[1].path_a, 'infrared', np.ones((1, 4)))
    describe(language, pairs[1].path_b, 'visible', np.ones((1, 5)))
    with pytest.raises(DataError) as caught:
        StoredText(language).check(pairs)
    problem = caught.value.problem
    assert '3 of 3 pairs' in problem
    assert f'1: not described yet: {pairs[0].path_b}' in problem
    assert '2: features of different widths, 4 and 5' in problem
    assert f'3: not described yet: {pairs[2].path_a}, {pairs[2].path_b}' in problem
    assert 'vlfusion describe CONFIG' in caught.value.remedy


def write_texts(root, *folders):
    for folder in folders:
        (root / folder).mkdir(parents=True)
        for name in '123':
            (root / folder / f'{name}.txt').write_text(f' {folder} of {name}.\n', encoding='utf-8')


def encode(language, text, rows):
    TextStore(language['store']).write('features', Keys(language).fixed(text), {}, np.asarray(rows, np.float32))


def test_texts_of_files(root, language, pairs):
    write_texts(root, 'ir_text', 'vi_text')
    config = dict(texts=['ir_text/{name}.txt', 'vi_text/{name}.txt'])
    [source] = text_sources(config, language, root).values()
    assert given_texts([source], pairs)[:2] == ['ir_text of 1.', 'vi_text of 1.']
    for text in given_texts([source], pairs):
        encode(language, text, [[float(text.startswith('ir')), 5.]])
    source.check(pairs)
    assert (source.dim, source.length(pairs)) == (2, 2)
    assert source.load(pairs[2]).tolist() == [[1, 5], [0, 5]]
    assert source.words(pairs[2]) == {'ir_text': 'ir_text of 3.', 'vi_text': 'vi_text of 3.'}
    [mean] = text_sources(config | dict(join=dict(type='mean')), language, root).values()
    assert len(mean.load(pairs[2])) == 2, 'a row for each text'
    [alone] = text_sources(dict(texts='vi_text/{name}.txt'), language, root).values()
    assert alone.load(pairs[0]).tolist() == [[0, 5]]


def test_samples_may_have_the_words_of_their_texts(root, language):
    write_texts(root, 'text')
    options = dict(task='ivf', data_root=root, source_a='ir', source_b='vi', language=language,
                   pipeline=[dict(type='LoadPair'), dict(type='PackPair')])
    for name in '123':
        encode(language, f'text of {name}.', [[0., 1.]])
    config = dict(texts='text/{name}.txt')
    assert PairDataset(text_source=config, words=True, **options)[1]['words'] == 'text of 2.'
    assert 'words' not in PairDataset(text_source=config, **options)[1]
    with pytest.raises(ConfigError, match='words=True, but no text'):
        PairDataset(words=True, **options)


def test_texts_of_files_with_faults(root, language, pairs):
    write_texts(root, 'text')
    source = WrittenText(language, root, 'text/{name}.txt')
    with pytest.raises(DataError, match='the text of 1 is not encoded yet') as caught:
        source.check(pairs)
    assert 'vlfusion describe' in caught.value.remedy
    (root / 'text/1.txt').unlink()
    (root / 'text/2.txt').write_text('\n')
    (root / 'text/3.txt').write_bytes(b'\xff')
    with pytest.raises(DataError) as caught:
        given_texts([source], pairs)
    assert '3 of 3 texts' in caught.value.problem
    for fault in (f'1: there is no text {root}/text/1.txt', f'2: the text {root}/text/2.txt is empty',
                  f'3: the text {root}/text/3.txt cannot be read', 'text holds 2.txt, 3.txt'):
        assert fault in caught.value.problem
    with pytest.raises(ConfigError, match='Every pair would read the same text'):
        WrittenText(language, root, 'text/1.txt').check(pairs)


def test_files_of_no_pair_are_named_if_texts_are_missing(root, language, pairs):
    write_texts(root, 'ir_text', 'vi_text')
    (root / 'vi_text/2.txt').rename(root / 'vi_text/02.txt')
    source = WrittenText(language, root, ['ir_text/{name}.txt', 'vi_text/{name}.txt'])
    with pytest.raises(DataError) as caught:
        source.check(pairs)
    assert caught.value.problem.splitlines()[1:] == [
        f'    2: there is no text {root}/vi_text/2.txt', f'    the text of no pair: {root}/vi_text/02.txt']
    assert '1 of 6 texts' in caught.value.problem and 'name the files like the pairs' in caught.value.remedy
    assert source.surplus(pairs[:2]) == [root / 'ir_text/3.txt', root / 'vi_text/02.txt', root / 'vi_text/3.txt']


def test_texts_of_one_folder_have_headings_of_their_own(root, language, pairs):
    (root / 'text').mkdir()
    for ending in 'ab':
        (root / f'text/1_{ending}.txt').write_text(ending)
    words = WrittenText(language, root, ['text/{name}_a.txt', 'text/{name}_b.txt']).words(pairs[0])
    assert words == {'text/{name}_a.txt': 'a', 'text/{name}_b.txt': 'b'}


def test_pad():
    padded, mask = pad(np.ones((2, 3), np.float32), 4)
    assert padded.shape == (4, 3) and padded[:2].min() == 1 and not padded[2:].any()
    assert mask.tolist() == [True, True, False, False]


def rows(*numbers):
    """Features of width one that tell their order."""
    return np.array(numbers, np.float32)[:, None]


@pytest.mark.parametrize(('join', 'expected'), [
    (None, [1, 2, 3, 4, 5]),
    (dict(type='concat'), [1, 2, 3, 4, 5]),
    (dict(type='concat', tokens=7), [1, 2, 3, 4, 5, 0, 0]),
    (dict(type='concat', tokens=5), [1, 2, 3, 4, 5]),
    (dict(type='concat', tokens=4, longer='cut'), [1, 2, 3, 4]),
    (dict(type='concat', tokens=7, pad=None), [1, 2, 3, 4, 5]),
    (dict(type='concat', tokens=[4, 2]), [1, 2, 3, 0, 4, 5]),
    (dict(type='concat', tokens=(2, 3), longer='cut'), [1, 2, 4, 5, 0]),
    (dict(type='concat', tokens=(2, 3), longer='cut', pad=None), [1, 2, 4, 5]),
    (dict(type='mean'), [2, 4.5])])
def test_rules_of_joining(join, expected):
    joined = join_rule(join, 2)([rows(1, 2, 3), rows(4, 5)])
    assert joined[:, 0].tolist() == expected and joined.dtype == np.float32


@pytest.mark.parametrize(('join', 'message'), [
    (dict(type='concatt'), 'Did you mean concat'), (dict(tokens=3), "type='concat'"), ('concat', "type='concat'"),
    (dict(type='concat', token=3), 'Did you mean tokens'), (dict(type='mean', tokens=3), "no argument 'tokens'"),
    (dict(type='concat', longer='ct'), 'Did you mean cut'), (dict(type='concat', pad='mean'), "pad='mean'"),
    (dict(type='concat', tokens=0), 'positive'), (dict(type='concat', tokens=True), 'positive'),
    (dict(type='concat', tokens='149'), 'expected int'), (dict(type='concat', tokens=[3]), 'list of 2'),
    (dict(type='concat', tokens=[3, -1]), 'list of 2'), (dict(type='concat', parts=[]), 'sets parts')])
def test_rules_of_joining_that_do_not_exist(join, message):
    with pytest.raises(ConfigError, match=message):
        join_rule(join, 2)


def test_stored_text_of_one_shape(language, pairs):
    for number, pair in enumerate(pairs, 1):
        describe(language, pair.path_a, 'infrared', np.full((number, 4), 1))
        describe(language, pair.path_b, 'visible', np.full((2, 4), 2))
    source = StoredText(language, join=dict(type='concat', tokens=[2, 2], longer='cut'))
    source.check(pairs)
    assert [source.load(pair)[:, 0].tolist() for pair in pairs] == [[1, 0, 2, 2], [1, 1, 2, 2], [1, 1, 2, 2]]
    assert source.load(pairs[0]).dtype == np.float32 and source.length(pairs) == 4
    one = StoredText(language, 'source_a/paragraph', dict(type='concat', tokens=149))
    assert {one.load(pair).shape for pair in pairs} == {(149, 4)}


def test_stored_text_that_is_too_long_is_named_and_not_cut(language, pairs):
    for number, pair in enumerate(pairs, 1):
        describe(language, pair.path_a, 'infrared', np.ones((number, 4)))
        describe(language, pair.path_b, 'visible', np.ones((2, 4)))
    with pytest.raises(DataError) as caught:
        StoredText(language, join=dict(type='concat', tokens=4)).check(pairs)
    assert '1 of 3 pairs' in caught.value.problem
    assert "3: the joined text has 5 tokens, join.tokens is 4 and join.longer='error'" in caught.value.problem
    assert "set join.longer='cut'" in caught.value.remedy
    with pytest.raises(DataError, match='the text of source b has 2 tokens'):
        StoredText(language, join=dict(type='concat', tokens=[9, 1])).load(pairs[0])


def test_stored_text_of_one_image_twice_is_joined_twice(language, pairs):
    twice = dataclasses.replace(pairs[0], path_b=pairs[0].path_a)
    describe(language, twice.path_a, 'infrared', np.full((1, 4), 1))
    describe(language, twice.path_a, 'visible', np.full((2, 4), 2))
    assert StoredText(language).load(twice)[:, 0].tolist() == [1, 2, 2]
