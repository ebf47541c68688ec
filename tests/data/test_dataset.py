"""Folders of pairs become samples with modalities and texts."""

from itertools import islice

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch.utils.data import default_collate

from vlfusion.data import PairDataset
from vlfusion.data.dataset import numpy_seed
from vlfusion.data.sampler import Draw
from vlfusion.errors import ConfigError, DataError
from vlfusion.language.keys import Content, Keys
from vlfusion.language.store import TextStore
from vlfusion.language.subjects import image_digest
from vlfusion.registry import DATASETS, share_keys
from vlfusion.testing.shared import shared

PLAIN = [dict(type='LoadPair'), dict(type='PackPair')]
AUGMENT = [dict(type='LoadPair'), dict(type='BothSources', transforms=[
    dict(type='RandomCrop', size=(8, 8)), dict(type='RandomFlip', prob=0.5), dict(type='RandomRotate90')]),
    dict(type='PackPair')]


@pytest.fixture
def described(root):
    (root / 'text').mkdir()
    for name in (1, 2, 3):
        np.save(root / f'text/{name}.npy', np.full((1, name, 4), name, np.float32))
    return root


def config(root, **kwargs):
    plain = dict(type='PairDataset', task='ivf', data_root=str(root), source_a='ir', source_b='vi', pipeline=PLAIN)
    return plain | kwargs


def build(root, **kwargs):
    return DATASETS.build(config(root, **kwargs))


def test_sample(root):
    dataset = build(root)
    sample = dataset[1]
    assert len(dataset) == 3
    assert set(sample) == {'name', 'path_a', 'path_b', 'source_a', 'source_b'}
    assert (sample['name'], sample['path_b']) == ('2', str(root / 'vi/2.png'))
    for source in ('source_a', 'source_b'):
        assert sample[source].shape == (1, 12, 16) and sample[source].dtype == torch.float32
        assert 0 <= sample[source].min() < 0.2 and 0.6 < sample[source].max() <= 1
    assert dataset.metainfo == dict(task='ivf', name=root.name)
    assert build(root, name='toy').metainfo['name'] == 'toy'


def test_modalities(root):
    assert build(root).pairs[0].modality_a == 'infrared'
    pair = build(root, modality_b='night vision').pairs[0]
    assert (pair.modality_a, pair.modality_b) == ('infrared', 'night vision')


def test_text_files(described):
    dataset = build(described, text_source=dict(files='text/{name}.npy'))
    batch = default_collate([dataset[0], dataset[2]])
    assert batch['text'].shape == (2, 3, 4) and batch['text'].dtype == torch.float32
    assert batch['text_mask'].tolist() == [[True, False, False], [True, True, True]]
    assert (batch['text'][0].sum(), batch['text'][1].sum()) == (4, 36)
    assert batch['name'] == ['1', '3'] and dataset.text_dims == {'text': 4}
    assert build(described, text_source=dict(files='text/{name}.npy'), text_length=5)[0]['text'].shape == (5, 4)
    with pytest.raises(ConfigError, match='text_length is 2, but the longest'):
        build(described, text_source=dict(files='text/{name}.npy'), text_length=2)


def test_stored_text(root):
    language = dict(store=str(root / 'store'), captioners=[dict(type='MeasuredCaptioner')],
                    llm=dict(type='TemplateLLM'), prompt='paragraph', encoder=dict(type='TransformersTextEncoder'))
    text = dict(stream='pair/paragraph')
    with pytest.raises(DataError, match='3 of 3 pairs have no usable text(.|\n)*vlfusion describe'):
        build(root, text_source=text, language=language)
    for pair in build(root).pairs:
        for path, modality in ((pair.path_a, pair.modality_a), (pair.path_b, pair.modality_b)):
            key = Keys(language).feature(Content(image_digest(path), modality))
            TextStore(language['store']).write('features', key, {}, np.ones((2, 6), np.float32))
    assert build(root, text_source=text, language=language)[0]['text'].shape == (4, 6)
    joined = build(root, text_source=text | dict(join=dict(type='concat', tokens=9)), language=language)
    assert joined[0]['text'].shape == (9, 6)
    with pytest.raises(ConfigError, match='where text features come from'):
        build(root, text_source=text)


@pytest.mark.parametrize('wrong', [dict(source_a=None), dict(source_b=None), dict(subsets={'x': {}}),
                                   dict(source_a=None, source_b=None, names=['1'], subsets={'x': {}}),
                                   dict(text_source=dict(stream='pair/paragraph', files='x')), dict(task='ir')])
def test_arguments_that_do_not_fit(root, wrong):
    with pytest.raises(ConfigError):
        build(root, **wrong)


def test_missing_root_tells_both_remedies(tmp_path):
    with pytest.raises(DataError) as caught:
        build(tmp_path / 'absent')
    assert str(tmp_path / 'absent') in caught.value.problem
    assert 'prepare-data' in caught.value.remedy and 'film/film_ivf_sample.' in caught.value.remedy


def test_damaged_image_is_found_at_construction(root):
    (root / 'ir/1.png').write_bytes((root / 'ir/1.png').read_bytes()[:-20])
    with pytest.raises(DataError, match='ir/1.png'):
        build(root)
    assert len(build(root, check=False)) == 3


def test_a_draw_decides_the_augmentation_and_leaves_the_global_state(root):
    dataset = build(root, pipeline=AUGMENT)
    np.random.seed(1)
    expected = np.random.rand()
    np.random.seed(1)
    once, again = dataset[Draw(0, 7)], dataset[Draw(0, 7)]
    assert np.random.rand() == expected
    assert torch.equal(once['source_a'], again['source_a']) and torch.equal(once['source_b'], again['source_b'])
    assert len({dataset[Draw(0, seed)]['source_a'].numpy().tobytes() for seed in range(10)}) > 5


def test_numpy_seed_restores_the_state_after_an_error():
    before = np.random.get_state()[1].copy()
    with pytest.raises(ZeroDivisionError), numpy_seed(3):
        np.random.rand()
        raise ZeroDivisionError
    assert np.array_equal(np.random.get_state()[1], before)


@pytest.mark.slow
def test_mmengine_loader_gives_equal_batches_with_any_number_of_workers_and_after_a_resume(described, build_dataloader):
    def loader(workers):
        dataset = config(described, pipeline=AUGMENT, text_source=dict(files='text/{name}.npy'))
        return build_dataloader(dict(dataset=dataset, batch_size=2, num_workers=workers,
                                     sampler=dict(type='EpochSampler')), seed=11)
    alone = list(islice(loader(0), 6))
    workers = list(islice(loader(2), 6))
    resumed = loader(2)
    resumed.sampler.start = 4 * 2
    for expected, batch in [*zip(alone, workers, strict=True), *zip(alone[4:], islice(resumed, 2), strict=True)]:
        assert batch['name'] == expected['name']
        for key in ('source_a', 'source_b', 'text', 'text_mask'):
            assert torch.equal(batch[key], expected[key])
    assert len({batch['source_a'].numpy().tobytes() for batch in alone}) == 6


@pytest.mark.parametrize(('folder', 'arguments', 'advice'), [
    ('ivf/TNO', {}, 'vlfusion data get TNO --root {root}`'),
    ('', dict(source_a='ivf/RoadScene_train/ir'), 'vlfusion data get RoadScene --root {root}`'),
    ('mif/Harvard', dict(source_a=None, source_b=None, subsets={'CT': dict(source_a='CT-MRI/train/MRI')}),
     'vlfusion data get Harvard --root {root}`'),
    ('MSRS', {}, 'vlfusion data check MSRS --root {root}`'),
    ('mine', {}, 'prepare-data sample')])
def test_an_absent_data_root_names_the_set_that_belongs_there(tmp_path, folder, arguments, advice):
    root = tmp_path / 'data'
    with pytest.raises(DataError, match='There is no folder') as caught:
        DATASETS.build(config(root / folder, **arguments))
    assert advice.format(root=root) in caught.value.remedy


def test_real_folder_with_subsets():
    root = shared('data/mif/Harvard')
    subsets = {f'{one}-MRI': dict(source_a=f'{one}-MRI/test/MRI', source_b=f'{one}-MRI/test/{one}', modality_b=one)
               for one in ('CT', 'PET', 'SPECT')}
    dataset = PairDataset('mif', root, subsets=subsets, pipeline=PLAIN)
    assert len(dataset) == 72 and dataset.pairs[-1].modality_b == 'SPECT' and dataset.pairs[-1].modality_a == 'MRI'
    sample = dataset[30]
    assert sample['name'].startswith('PET-MRI/')
    assert sample['source_a'].shape == sample['source_b'].shape == (1, 256, 256)
    assert not torch.equal(sample['source_a'], sample['source_b'])


def test_a_range_reaches_the_samples(root):
    for name, low in (('1.png', 7000), ('2.PNG', 7100)):
        cv2.imwrite(str(root / f'ir/{name}'), np.linspace(low, 8500, 192).reshape(12, 16).astype(np.uint16))
    dark, stretched = (build(root, **keys)[0]['source_a'] for keys in ({}, dict(range_a='7000,8500')))
    assert dark.max() < 0.14 and stretched.min() == 0 and stretched.max() == 1
    subset = build(root, source_a=None, source_b=None,
                   subsets={'toy': dict(source_a='ir', source_b='vi', range_a=(7000, 8500))})
    assert torch.equal(subset[0]['source_a'], stretched)
    assert torch.equal(build(root)[0]['source_b'], subset[0]['source_b'])


def test_a_range_may_stand_at_the_top_of_a_config(root):
    top = Config(dict(range_a='minmax', test_dataloader=dict(dataset=config(root))))
    share_keys(top, top.test_dataloader.dataset, DATASETS)
    assert build(root, **{key: top.test_dataloader.dataset[key] for key in ('range_a',)})[0]['source_a'].max() == 1
