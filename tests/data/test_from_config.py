"""Data sets, pairs, subjects and given texts of a config."""

from pathlib import Path

import pytest
from mmengine.config import Config

from vlfusion.data.from_config import find_datasets, find_subjects, pairs_of, reads_stream, texts_to_encode
from vlfusion.errors import ConfigError, DataError, UnknownNameError
from vlfusion.testing.toys import draw_pairs


@pytest.fixture
def config(tmp_path):
    """A config of four pairs; training and testing share one, and validation equals testing."""
    draw_pairs(tmp_path, ['a', 'b', 'c', 'd'], size=(8, 8))

    def loader(*names):
        return dict(dataset=dict(type='PairDataset', source_a='ir', source_b='vi', names=list(names),
                                 pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
    return Config(dict(task='ivf', data_root=str(tmp_path), train_dataloader=loader('a', 'b'),
                       val_dataloader=loader('b', 'c', 'd'), test_dataloader=loader('b', 'c', 'd')))


def test_equal_data_sets_are_built_once(config):
    datasets = find_datasets(config)
    assert [split for split, _ in datasets] == ['train', 'val']
    assert [pair.name for pair in datasets[1][1].pairs] == ['b', 'c', 'd']


def test_whole_images_have_samples(config):
    [(_, dataset)] = find_datasets(config, ['test'], whole=True)
    assert dataset[0]['source_a'].shape == (1, 8, 8)


def test_pairs_are_listed_once_and_chosen_by_name(config):
    assert [pair.name for pair in pairs_of(config)] == ['a', 'b', 'c', 'd']
    assert [pair.name for pair in pairs_of(config, ['train'])] == ['a', 'b']
    assert [pair.name for pair in pairs_of(config, names=['d', 'a'])] == ['a', 'd']
    with pytest.raises(UnknownNameError, match="No pair has the name 'e'"):
        pairs_of(config, names=['a', 'e'])


def test_a_split_that_is_not_there_is_named(config):
    config.test_dataloader = None
    with pytest.raises(ConfigError, match='no test_dataloader'):
        pairs_of(config, ['test'])


def test_subjects_are_found_by_pair_or_file(config, tmp_path):
    both = find_subjects(config, 'b', of_pairs=False)
    assert [image.path.parent.name for image in both] == ['ir', 'vi']
    assert [image.modality for image in find_subjects(config, 'b', of_pairs=False, source='b')] == ['visible']
    [pair] = find_subjects(config, 'b', of_pairs=True)
    assert len(pair.images) == 2
    assert find_subjects(config, str(tmp_path / 'ir/b.png'), of_pairs=False) == both[:1]


@pytest.mark.parametrize(('name', 'options', 'error', 'message'), [
    ('e', dict(of_pairs=False), DataError, "no pair 'e'.*\n.*4 pairs"),
    (__file__, dict(of_pairs=False), DataError, 'not among the images'),
    ('b', dict(of_pairs=True, source='a'), ConfigError, 'about pairs')])
def test_a_subject_that_is_not_there(config, name, options, error, message):
    with pytest.raises(error, match=message):
        find_subjects(config, name, **options)


def test_texts_to_encode_are_listed_once(config):
    config.language = dict(fixed=['Fuse.', 'Merge.'])
    config.test_dataloader.dataset.text_policy = dict(fixed='Fuse.')
    config.train_dataloader.dataset.text_source = dict(fixed='Join.')
    assert texts_to_encode(config) == {'text': ['Fuse.', 'Merge.', 'Join.']}


def test_texts_of_files_are_read_for_the_pairs_of_a_split(config):
    config.language = dict(store='text', encoder=dict(type='TransformersTextEncoder', model='any'))
    root = Path(config.data_root)
    for split in ('train', 'test'):
        part = config[f'{split}_dataloader'].dataset
        part.text_source = dict(texts=f'words/{split}/{{name}}.txt')
        for pair in pairs_of(config, [split]):
            path = root / f'words/{split}/{pair.name}.txt'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f'{split} {pair.name}')
    names = [pair.name for pair in pairs_of(config, ['test'])]
    assert texts_to_encode(config, ['test']) == {'text': [f'test {name}' for name in names]}
    assert set(texts_to_encode(config)['text']) > {f'train {pair.name}' for pair in pairs_of(config, ['train'])}
    assert not reads_stream(config)


@pytest.mark.parametrize(('source', 'reads'), [
    (None, True), (dict(stream='pair/paragraph'), True), (dict(files='x/{name}.npy'), True),
    (dict(fixed='Fuse.'), False), (dict(text_a=dict(fixed='Fuse.'), text_b=dict(stream='a/paragraph')), True)])
def test_a_config_of_texts_to_encode_alone_reads_no_descriptions(config, source, reads):
    config.text_source = source
    assert reads_stream(config) is reads
