"""Packed files give the samples of the images, and any reader of safetensors reads them."""

import json
import pickle
from itertools import islice

import cv2
import h5py
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from vlfusion.cli import main
from vlfusion.data import Hdf5PairDataset, PackedPairDataset, PairDataset
from vlfusion.data.hdf5 import write_hdf5
from vlfusion.data.packed import write_packed
from vlfusion.data.sampler import Draw
from vlfusion.errors import ConfigError, DataError
from vlfusion.language.keys import Keys
from vlfusion.language.store import TextStore
from vlfusion.registry import DATASETS, share_keys

LOAD, PACK = [dict(type='LoadPair')], [dict(type='PackPair')]
AUGMENT = [dict(type='BothSources', transforms=[
    dict(type='RandomCrop', size=(4, 4)), dict(type='RandomFlip', prob=0.5), dict(type='RandomRotate90')])]


@pytest.fixture
def described(root):
    """The pairs of `root` with one text of a length of its own each, and one instruction for all."""
    language = dict(store=str(root / 'store'), captioners=[dict(type='MeasuredCaptioner')],
                    llm=dict(type='TemplateLLM'), prompt='paragraph', encoder=dict(type='TransformersTextEncoder'))
    TextStore(language['store']).write('features', Keys(language).fixed('Fuse.'), {}, np.full((3, 6), 0.1, np.float32))
    (root / 'text').mkdir()
    for name in (1, 2, 3):
        np.save(root / f'text/{name}.npy', np.random.default_rng(name).normal(size=(1, name, 4)).astype(np.float32))
    return dict(data_root=root, source_a='ir', source_b='vi', language=language, pipeline=LOAD + PACK,
                text_source=dict(text=dict(files='text/{name}.npy'), instruction=dict(fixed='Fuse.')))


@pytest.fixture
def source(described):
    return PairDataset('ivf', **described)


@pytest.fixture
def path(source, tmp_path):
    return pack(source, tmp_path / 'packed' / 'toy.safetensors')


@pytest.fixture
def edit(path):
    """Change arrays and metadata of the packed file with a function of both, and read it."""
    def edit(change):
        arrays, notes = load_file(path), metadata(path)
        change(arrays, notes)
        save_file(arrays, path, notes)
        return PackedPairDataset(path, pipeline=PACK)
    return edit


def pack(dataset, path):
    write_packed(path, (dataset[index] for index in range(len(dataset))), dataset.task.name)
    return path


def metadata(path):
    with safe_open(path, 'np') as file:
        return file.metadata()


def assert_equal(sample, expected, places=False):
    assert list(sample) == list(expected)
    for key, value in expected.items():
        if isinstance(value, torch.Tensor):
            assert sample[key].dtype == value.dtype and torch.equal(sample[key], value), key
        elif places or not key.startswith('path_'):
            assert sample[key] == value


@pytest.mark.parametrize(('task', 'truth'), [('ivf', False), ('mif', False), ('mef', True), ('mff', True)])
def test_same_samples_as_the_images(described, write, tmp_path, task, truth):
    if truth:
        write(described['data_root'] / 'truth', '1.png', '2.png', '3.png')
    source = PairDataset(task, **described, truth='truth' if truth else None)
    path = pack(source, tmp_path / 'toy.safetensors')
    dataset = DATASETS.build(dict(type='PackedPairDataset', path=str(path), task=task, pipeline=PACK))
    assert len(dataset) == 3 and dataset.metainfo == dict(task=task, name='toy')
    assert dataset.text_dims == source.text_dims == {'text': 4, 'instruction': 6}
    for index in range(3):
        sample = dataset[index]
        assert ('truth' in sample) == truth
        assert_equal(sample, source[index])
        assert sample['path_b'] == f'{path}:source_b/{sample["name"]}'


def test_same_augmentation_as_of_the_images(path, described):
    source = PairDataset('ivf', **described | dict(pipeline=LOAD + AUGMENT + PACK))
    dataset = PackedPairDataset(path, pipeline=AUGMENT + PACK)
    for seed in range(6):
        assert_equal(dataset[Draw(seed % 3, seed)], source[Draw(seed % 3, seed)])


def test_layout_that_any_reader_of_safetensors_reads(path, source):
    arrays, notes = load_file(path), metadata(path)
    assert {key: notes[key] for key in ('vlfusion.pairs', 'task')} == {'vlfusion.pairs': '1', 'task': 'ivf'}
    assert json.loads(notes['names']) == ['1', '2', '3']
    assert json.loads(notes['same']) == {f'instruction/{name}': 'instruction/1' for name in (2, 3)}
    assert len(arrays) == 10 and arrays['text/2'].shape == (2, 4) and arrays['text/2'].dtype == np.float32
    assert arrays['source_a/1'].shape == (12, 16) and arrays['source_a/1'].dtype == np.uint8
    assert np.array_equal(arrays['source_a/1'], cv2.imread(source[0]['path_a'], cv2.IMREAD_UNCHANGED))


def test_sixteen_bits_and_odd_sizes(tmp_path, write):
    for folder in ('a', 'b'):
        write(tmp_path / folder, 'eight.png', shape=(3, 5))
    deep = np.random.default_rng(0).integers(0, 2 ** 16, (3, 7), np.uint16)
    for folder, image in (('a', deep), ('b', (deep >> 8).astype(np.uint8))):
        assert cv2.imwrite(str(tmp_path / folder / 'sixteen.png'), image)
    source = PairDataset('mff', tmp_path, 'a', 'b', pipeline=LOAD + PACK)
    stored = write_packed(tmp_path / 'x.safetensors', (source[index] for index in range(2)), 'mff')
    assert stored == {'source_a': 'uint16 and uint8', 'source_b': 'uint8'}
    dataset = PackedPairDataset(tmp_path / 'x.safetensors', pipeline=PACK)
    for index in range(2):
        assert_equal(dataset[index], source[index])
    assert np.array_equal(load_file(dataset.path)['source_a/sixteen'], deep)


def test_every_array_begins_at_a_multiple_of_its_width(tmp_path):
    samples = [dict(name=name, source_a=torch.tensor([[levels]]) / 255, source_b=torch.rand(1, 1, 3))
               for name, levels in (('1', [7., 2., 3.]), ('2', [0.5, 2., 7.]))]
    write_packed(tmp_path / 'x.safetensors', samples, 'ivf')
    content = (tmp_path / 'x.safetensors').read_bytes()
    header = json.loads(content[8:8 + (length := int.from_bytes(content[:8], 'little'))])
    begins = {entry['dtype']: entry['data_offsets'][0] + length for entry in header.values() if 'dtype' in entry}
    assert set(begins) == {'F32', 'U8'} and begins['F32'] % 8 == 0


def test_equal_bytes_of_another_shape_are_another_array(tmp_path):
    samples = [dict(name=str(h), source_a=torch.zeros(1, h, 12 // h), source_b=torch.ones(1, h, 12 // h))
               for h in (2, 3)]
    write_packed(tmp_path / 'x.safetensors', samples, 'ivf')
    dataset = PackedPairDataset(tmp_path / 'x.safetensors', pipeline=PACK)
    assert [dataset[index]['source_a'].shape[1:] for index in range(2)] == [(2, 6), (3, 4)]


def test_luminance_that_is_no_whole_level_stays_as_it_is(root):
    source = PairDataset('ivf', root, 'ir', 'vi', pipeline=[dict(type='LoadPair', luminance='bt601'), *PACK])
    assert write_packed(root / 'x.safetensors', [source[0]], 'ivf') == {'source_a': 'uint8', 'source_b': 'float32'}
    assert_equal(PackedPairDataset(root / 'x.safetensors', pipeline=PACK)[0], source[0])


def test_subsets_and_equal_images_of_several_pairs(tmp_path, write):
    for folder in ('PET/MRI', 'PET/PET', 'CT/CT'):
        write(tmp_path / folder, '7.png')
    subsets = {f'{one}-MRI': dict(source_a='PET/MRI', source_b=f'{one}/{one}') for one in ('PET', 'CT')}
    source = PairDataset('mif', tmp_path, subsets=subsets, pipeline=LOAD + PACK)
    dataset = PackedPairDataset(pack(source, tmp_path / 'x.safetensors'), pipeline=PACK)
    assert dataset.names == ['CT-MRI/7', 'PET-MRI/7']
    assert json.loads(metadata(dataset.path)['same']) == {'source_a/PET-MRI/7': 'source_a/CT-MRI/7'}
    for index in range(2):
        assert_equal(dataset[index], source[index])


def test_hdf5_with_values_between_grey_levels(tmp_path):
    random = np.random.default_rng(0)
    with h5py.File(tmp_path / 'film.h5', 'w') as file:
        for name in ('00001D', '00002N'):
            file[f'imageA/{name}'] = np.round(random.random((1, 5, 7)) * 255) / 255
            file[f'imageB/{name}'] = random.random((1, 5, 7))
            file[f'text/{name}'] = random.normal(size=(1, 3, 4)).astype(np.float32)
    source = Hdf5PairDataset(tmp_path / 'film.h5', 'ivf', PACK)
    dataset = PackedPairDataset(pack(source, tmp_path / 'film.safetensors'), 'ivf', PACK)
    for index in range(2):
        assert_equal(dataset[index], source[index])
    kinds = {key: array.dtype for key, array in load_file(dataset.path).items()}
    assert kinds['source_a/00001D'] == np.uint8 and kinds['source_b/00001D'] == np.float32


def test_options_about_text(path):
    assert 'text' not in PackedPairDataset(path, pipeline=PACK, read_text=False)[0]
    assert PackedPairDataset(path, pipeline=PACK, text_length=5)[0]['instruction'].shape == (5, 6)
    sample = PackedPairDataset(path, pipeline=PACK, text_length={'text': 4})[0]
    assert sample['text'].shape == (4, 4) and sample['instruction'].shape == (3, 6)
    with pytest.raises(ConfigError, match='text_length is 2, but the longest'):
        PackedPairDataset(path, text_length={'text': 2})
    with pytest.raises(ConfigError, match="names 'txt'(.|\n)*Did you mean text"):
        PackedPairDataset(path, text_length={'txt': 2})
    with pytest.raises(ConfigError, match='holds pairs of the task ivf, not mif'):
        PackedPairDataset(path, 'mif')


def test_a_changed_sample_does_not_change_the_next(path, edit):
    def deepen(arrays, notes):
        arrays['source_b/1'] = arrays['source_b/1'] / np.float32(255)
    for dataset in (PackedPairDataset(path, pipeline=PACK), edit(deepen)):
        first = dataset[0]
        kept = {key: value.clone() for key, value in first.items() if isinstance(value, torch.Tensor)}
        for key in kept:
            first[key].zero_()
        assert_equal(dataset[0], first | kept)


def test_every_mismatch_is_named(edit):
    def spoil(arrays, notes):
        del arrays['source_b/1'], arrays['text/3']
        arrays['source_a/2'] = np.zeros((1, 12, 16), np.uint8)
        arrays['source_b/3'] = np.zeros((12, 15), np.uint8)
        arrays['text/1'] = np.zeros((1, 4), np.uint8)
        arrays['text/2'] = np.zeros((1, 4), np.float16)
        notes['names'] = json.dumps(['1', '2', '3', '4'])
    with pytest.raises(DataError) as caught:
        edit(spoil)
    for offender in ('1 has no source_b', '3 has no text', '4 has no source_a', '4 has no instruction',
                     'source_a/2 is uint8 (1, 12, 16); expected two axes of', 'text/1 is uint8 (1, 4)',
                     'text/2 is of another type (1, 4)',
                     '3 has images of different shapes: source_a (12, 16), source_b (12, 15)'):
        assert offender in caught.value.problem


def test_text_of_unequal_width_and_no_pairs(edit):
    with pytest.raises(DataError, match='text features have different widths: 4, 5'):
        edit(lambda arrays, notes: arrays.update({'text/1': np.zeros((1, 5), np.float32)}))
    with pytest.raises(DataError, match='no pairs at all'):
        edit(lambda arrays, notes: (notes.update(names='[]'), arrays.update({'text/1': np.zeros((1, 4), np.float32)})))


@pytest.mark.parametrize(('spoil', 'message'), [
    (lambda path: path.unlink(), 'There is no file'),
    (lambda path: path.write_bytes(b''), 'not a safetensors file, or is truncated'),
    (lambda path: path.write_bytes(b'some text, and more of it'), 'not a safetensors file'),
    (lambda path: path.write_bytes(path.read_bytes()[:-1]), 'is truncated'),
    (lambda path: path.write_bytes(path.read_bytes()[:100]), 'is truncated'),
    (lambda path: save_file({'weight': np.zeros(3)}, path), 'is not a packed data set of version 1'),
    (lambda path: save_file({'weight': np.zeros(3)}, path, {'vlfusion.pairs': '2'}), 'vlfusion.pairs is 2'),
])
def test_unusable_files(path, spoil, message):
    spoil(path)
    with pytest.raises(DataError, match=message):
        PackedPairDataset(path)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(path, source):
    before = path.read_bytes()
    beyond = source[1] | dict(source_b=source[1]['source_b'] * 255)
    unclear = source[1] | dict(source_a=source[1]['source_a'] * float('nan'))
    for second, error, message in ((beyond, DataError, r'source_b of 2 has values .* expected luminance in \[0, 1\]'),
                                   (unclear, DataError, 'source_a of 2 has values from nan'),
                                   (source[0], DataError, 'Two pairs are called 1'),
                                   ({'name': 'x'}, KeyError, 'source_a')):
        with pytest.raises(error, match=message):
            write_packed(path, [source[0], second], 'ivf')
        assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]


def test_a_full_disk_leaves_nothing_behind(path, source, monkeypatch):
    def fail(*args):
        raise OSError('No space left on device')
    monkeypatch.setattr('shutil.copyfileobj', fail)
    with pytest.raises(OSError, match='No space'):
        write_packed(path.with_name('new.safetensors'), [source[0]], 'ivf')
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.slow
@pytest.mark.parametrize(('method', 'workers'), [('fork', 2), ('spawn', 1)])
def test_workers_after_the_parent_has_read(path, build_dataloader, method, workers):
    dataset = PackedPairDataset(path, pipeline=AUGMENT + PACK)
    common = dict(dataset=dataset, batch_size=2, sampler=dict(type='EpochSampler'))
    loaders = [build_dataloader(common | kwargs, seed=0) for kwargs in (
        dict(num_workers=0), dict(num_workers=workers, multiprocessing_context=method))]
    for alone, worker in zip(*(islice(loader, 4) for loader in loaders), strict=True):
        assert_equal(worker, alone, places=True)


def test_a_copy_does_not_carry_the_file(path):
    dataset = PackedPairDataset(path, pipeline=PACK)
    expected = dataset[1]
    copied = pickle.dumps(dataset)
    assert len(copied) < 3000
    assert_equal(pickle.loads(copied)[1], expected, places=True)


def read_as_printed(printed, split):
    """The data set of the config that the command printed."""
    config = {}
    exec(printed[printed.index(f'{split}_dataloader = '):], config)
    dataset = config[f'{split}_dataloader']['dataset']
    assert dataset.pop('_delete_')
    return DATASETS.build(dataset)


def test_command_from_folders(described, tmp_path, capsys):
    config, out = tmp_path / 'config.py', tmp_path / 'new' / 'x.safetensors'
    described |= dict(data_root=str(described['data_root']), pipeline=LOAD + AUGMENT + PACK, name='mine',
                      text_length={'text': 5})
    dataset = described | dict(type='PairDataset')
    config.write_text(f"task = 'ivf'\nval_dataloader = dict(dataset={dataset})\n")
    assert main(['prepare-data', 'pack', str(config), '--split', 'val', '--out', str(out)]) == 0
    printed = capsys.readouterr().out
    assert f'3 pairs are in {out}' in printed and 'source_b in uint8, text in float32' in printed
    read, source = read_as_printed(printed, 'val'), PairDataset('ivf', **described)
    assert read.metainfo == source.metainfo and source[0]['text'].shape == (5, 4)
    for index in range(3):
        assert_equal(read[Draw(index, 5)], source[Draw(index, 5)])


def test_command_from_hdf5(source, tmp_path, capsys):
    film, out = tmp_path / 'film.h5', tmp_path / 'x.safetensors'
    write_hdf5(film, [{key: value for key, value in source[index].items() if 'instruction' not in key}
                      for index in range(3)])
    assert main(['prepare-data', 'pack', str(film), '--task', 'ivf', '--out', str(out)]) == 0
    assert_equal(read_as_printed(capsys.readouterr().out, 'train')[2], Hdf5PairDataset(film, 'ivf', PACK)[2])
    assert main(['prepare-data', 'pack', str(film), '--task', 'ivf', '--no-text', '--out', str(out)]) == 0
    assert 'text' not in read_as_printed(capsys.readouterr().out, 'train')[2]
    assert main(['prepare-data', 'pack', str(film), '--out', str(out)]) == 2
    assert 'Add --task' in capsys.readouterr().err


@pytest.mark.slow
def test_a_training_gets_the_same_batches(toy, tmp_path, build_dataloader):
    config, out = toy(), str(tmp_path / 'x.safetensors')
    config.dump(tmp_path / 'config.py')
    assert main(['prepare-data', 'pack', str(tmp_path / 'config.py'), '--out', out]) == 0
    folders, batches = config.train_dataloader.dataset, []
    for dataset in (folders, dict(type='PackedPairDataset', path=out, pipeline=folders.pipeline[1:])):
        share_keys(config, dataset, DATASETS)
        batches.append(islice(build_dataloader({**config.train_dataloader, 'dataset': dataset}, seed=0), 4))
    for expected, packed in zip(*batches, strict=True):
        assert_equal(packed, expected)


def test_command_without_a_place_to_cut_the_pipeline(described, tmp_path, capsys):
    config = tmp_path / 'config.py'
    dataset = described | dict(type='PairDataset', data_root=str(described['data_root']), pipeline=PACK)
    config.write_text(f"task = 'ivf'\ntrain_dataloader = dict(dataset={dataset})\n")
    assert main(['prepare-data', 'pack', str(config), '--out', str(tmp_path / 'x.safetensors')]) == 2
    assert 'no LoadPair' in capsys.readouterr().err


def test_another_text_policy_is_refused(tmp_path):
    for dataset in (PackedPairDataset, Hdf5PairDataset):
        with pytest.raises(ConfigError, match="text_policy='shuffled' has no effect on"):
            dataset(tmp_path / 'pairs', 'ivf', text_policy='shuffled')


@pytest.mark.parametrize(('key', 'value', 'message'), [
    ('names', '["../../x"]', "has a part '..'"), ('names', '["/x"]', 'absolute'), ('names', '[1]', 'is a int'),
    ('names', '[{}]', 'is a dict'), ('names', '["1", "1"]', 'twice'), ('names', '[""]', 'empty'),
    ('names', json.dumps(['x' * 300]), 'too long'), ('names', '["a\\u0000"]', 'control character'),
    ('names', '{"0": "1"}', 'names as a dict'), ('names', '7', 'names as a int'),
    ('names', '[', 'names in the metadata'), ('names', '[' * 100000, 'names in the metadata'),
    ('same', '[]', 'same as a list'), ('same', '{', 'same in the metadata'), ('same', '{"text/1": 5}', 'text/1'),
    ('same', '{"text/1": ["text/2"]}', 'text/1'), ('same', None, 'same in the metadata'),
    ('task', None, 'has the task None; expected one of ivf'), ('task', 'zzz', "has the task 'zzz'"),
])
def test_metadata_of_another_form(edit, key, value, message):
    def change(arrays, notes):
        notes.pop(key)
        if value is not None:
            notes[key] = value
    with pytest.raises(DataError, match=message) as caught:
        edit(change)
    assert 'toy.safetensors' in caught.value.problem


@pytest.mark.parametrize(('key', 'value'), [('text/2', np.nan), ('text/2', np.inf), ('source_a/2', np.nan),
                                            ('source_a/2', 2.)])
def test_values_that_are_none(edit, key, value):
    def spoil(arrays, notes):
        arrays[key] = arrays[key].astype(np.float32) / 255
        arrays[key][0, 0] = value
    with pytest.raises(DataError, match=f'{key} in .*toy.safetensors'):
        edit(spoil)[1]


def test_no_array_is_empty(edit):
    with pytest.raises(DataError, match=r'text/2 is float32 \(0, 4\)'):
        edit(lambda arrays, notes: arrays.update({'text/2': np.zeros((0, 4), np.float32)}))
