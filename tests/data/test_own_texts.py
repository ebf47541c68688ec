"""Texts in files in place of those that a config reads: own ones, and the published ones of the set MTG."""

import json

import pytest
import torch

from vlfusion.config import config_from, load_config
from vlfusion.console.notes import new_run
from vlfusion.data.describing import describe
from vlfusion.data.from_config import find_datasets
from vlfusion.data.own_folders import use_folders
from vlfusion.data.own_texts import by_folder, use_texts, written_source
from vlfusion.data.pairs import find_pairs
from vlfusion.data.text import text_sources
from vlfusion.errors import ConfigError, DataError
from vlfusion.language.interfaces import TextFeatures
from vlfusion.registry import TEXT_ENCODERS
from vlfusion.testing.shared import shared
from vlfusion.testing.toys import draw_pairs


class Lengths:
    """A text encoder of one token, which tells the number of letters."""

    version, dim = '1', 2

    def encode(self, texts):
        return TextFeatures(torch.tensor([[[len(text), 1.]] for text in texts]), torch.ones(len(texts), 1).bool())


@pytest.fixture
def language(monkeypatch, tmp_path):
    monkeypatch.setitem(TEXT_ENCODERS.module_dict, 'Lengths', Lengths)
    return dict(store=str(tmp_path / 'store'), encoder=dict(type='Lengths'))


@pytest.fixture
def config(language, tmp_path):
    """A config of two drawn pairs, with texts in the folders `short` and `long`."""
    draw_pairs(tmp_path, 'ab', size=(8, 8))
    for folder in ('short', 'long'):
        (tmp_path / folder).mkdir()
        for name in 'ab':
            (tmp_path / f'{folder}/{name}.txt').write_text(f'{folder} {name}')
    config = use_folders(load_config('film/film_ivf_sample'), str(tmp_path / 'ir'), str(tmp_path / 'vi'))
    config.language = language
    return config


def test_every_data_set_reads_the_texts_once_they_are_described(config, tmp_path):
    assert use_texts(config, tmp_path / 'short') is config
    done = describe(config)
    assert done.new_fixed == ['short a', 'short b'] and done.pipeline is None, 'no image is described'
    for split in ('train', 'val', 'test'):
        [(_, data)] = find_datasets(config, [split], text=True)
        [source] = data.text_sources.values()
        assert [source.load(pair).tolist() for pair in data.pairs] == [[[7, 1]]] * 2
    [record, _] = [json.loads(path.read_text()) for path in sorted((tmp_path / 'store/features').rglob('*.json'))]
    assert record['text'] in ('short a', 'short b') and record['encoder']['type'].endswith('Lengths')


def test_several_texts_are_joined_by_the_rule_of_the_config(config, tmp_path):
    for split in ('train', 'val', 'test'):
        config[f'{split}_dataloader'].dataset.text_source = dict(stream='pair/paragraph', join=dict(type='mean'))
    describe(use_texts(config, [tmp_path / 'long', f'{tmp_path}/short/{{name}}.txt']))
    [(_, data)] = find_datasets(config, ['test'], text=True)
    [source] = data.text_sources.values()
    assert source.load(data.pairs[0])[:, 0].tolist() == [6, 7]
    assert data.text_sources['text'].words(data.pairs[0]) == {'long': 'long a', 'short': 'short a'}


def test_files_of_no_pair_are_noted(config, tmp_path, caplog):
    new_run()
    (tmp_path / 'short/c.txt').write_text('of another pair')
    use_texts(config, tmp_path / 'short')
    describe(config, splits=['test'])
    assert not caplog.records, 'it may belong to another split'
    describe(config)
    assert f'1 of the texts belong to no pair:\n    {tmp_path}/short/c.txt' in caplog.text


def test_the_name_of_the_text_stays():
    assert written_source(dict(instruction=dict(fixed='Fuse.')), '/x') == {'instruction': {'texts': ['/x/{name}.txt']}}


@pytest.mark.parametrize(('options', 'texts', 'message'), [
    (dict(text_source=dict(fixed='Fuse.'), language=dict(store='s')), __file__, 'is one file'),
    (dict(text_source=dict(fixed='Fuse.')), 'x', 'no language section(?s:.*)--words'),
    (dict(language=dict(store='s')), 'x', 'reads no text'),
    (dict(text_source=dict(text_a=dict(fixed='A'), text_b=dict(fixed='B'))), 'x', 'reads text_a, text_b, but')])
def test_what_cannot_read_one_text_of_each_pair(options, texts, message):
    with pytest.raises(ConfigError, match=message):
        use_texts(config_from(options, 'mine.py'), texts)


def test_folders_of_one_name():
    with pytest.raises(ConfigError, match='have the name ideal: a/ideal and b/ideal'):
        by_folder(['a/ideal', 'b/ideal'])


SETS = {'MRI_CT': ('mif', 'MRI', 'CT'), 'MRI_PET': ('mif', 'MRI', 'PET'), 'MRI_SPECT': ('mif', 'MRI', 'SPECT'),
        'RoadScene': ('ivf', 'ir', 'vi'), 'TNO': ('ivf', 'ir', 'vi')}


@pytest.mark.parametrize('name', SETS)
def test_each_of_the_six_published_texts_is_read(name, language):
    task, *sources = SETS[name]
    folder = shared(f'data/text/MTG/{name}')
    pairs = find_pairs(shared(f'data/{task}/{name}'), *sources)
    folders = ['common', 'ideal', *(source.lower() + ending for source in sources for ending in ('', '_unique'))]
    assert sorted(folders) == sorted(path.name for path in folder.iterdir())
    for place in folders:
        [source] = text_sources(written_source(dict(fixed='-'), folder / place), language, '.').values()
        texts = source.all_texts(pairs)
        assert len(texts) == len(pairs) and not source.surplus(pairs)
        assert min(map(len, texts)) > 20 and len(set(texts)) > len(texts) / 2, 'sentences about these pairs'


def test_published_texts_of_other_pairs(language):
    pairs = find_pairs(shared('data/ivf/TNO'), 'ir', 'vi')
    folder = shared('data/text/MTG/RoadScene/ideal')
    [source] = text_sources(written_source(dict(fixed='-'), folder), language, '.').values()
    with pytest.raises(DataError) as caught:
        source.check(pairs)
    lines = caught.value.problem.splitlines()
    assert [line.split(':')[0].strip() for line in lines[1:9]] == [pair.name for pair in pairs]
    assert sorted(lines[9:]) == sorted(f'    the text of no pair: {path}' for path in folder.iterdir())
    folder = shared('data/text/MTG/TNO')
    [source] = text_sources(written_source(dict(fixed='-'), folder), language, '.').values()
    with pytest.raises(DataError, match='TNO holds common/, ideal/, ir/, ir_unique/, vi/, vi_unique/'):
        source.check(pairs)
