"""HDF5 files have FILM's layout and give the samples of the images."""

import pickle
import subprocess
import sys
from itertools import islice
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from vlfusion.data import PairDataset
from vlfusion.data.hdf5 import Hdf5PairDataset, write_hdf5
from vlfusion.errors import DataError
from vlfusion.registry import DATASETS

PACK = [dict(type='PackPair')]


@pytest.fixture
def source(root):
    (root / 'text').mkdir()
    for name in (1, 2, 3):
        np.save(root / f'text/{name}.npy', np.full((1, name, 4), name, np.float32))
    return PairDataset('ivf', root, 'ir', 'vi', text_source=dict(files='text/{name}.npy'),
                       pipeline=[dict(type='LoadPair'), *PACK])


@pytest.fixture
def path(source, tmp_path):
    write_hdf5(tmp_path / 'h5' / 'toy.h5', (source[index] for index in range(3)))
    return tmp_path / 'h5' / 'toy.h5'


@pytest.fixture
def edit(path):
    """Change the file with a function of the open file, and read it."""
    def edit(change):
        with h5py.File(path, 'r+') as file:
            change(file)
        return Hdf5PairDataset(path, 'ivf', PACK)
    return edit


def test_layout_is_that_of_film(path):
    with h5py.File(path) as file:
        assert sorted(file) == ['imageA', 'imageB', 'text']
        assert all(sorted(group) == ['1', '2', '3'] for group in file.values())
        assert file['imageA/1'].shape == (1, 12, 16) and file['imageA/1'].dtype == np.float32
        assert file['text/2'].shape == (1, 2, 4)


def test_same_samples_as_the_images(path, source):
    dataset = DATASETS.build(dict(type='Hdf5PairDataset', path=str(path), task='ivf', pipeline=PACK))
    assert len(dataset) == 3 and dataset.text_dims == {'text': 4} and dataset.metainfo == dict(task='ivf', name='toy')
    for sample, expected in zip((dataset[i] for i in range(3)), (source[i] for i in range(3)), strict=True):
        assert sample['name'] == expected['name']
        for key in ('source_a', 'source_b', 'text', 'text_mask'):
            assert torch.equal(sample[key], expected[key])


def test_text_can_be_left_out_or_absent(path, source):
    assert 'text' not in Hdf5PairDataset(path, 'ivf', PACK, read_text=False)[0]
    write_hdf5(path, [{key: value for key, value in source[0].items() if 'text' not in key}])
    assert len(Hdf5PairDataset(path, 'ivf', PACK, read_text=False)) == 1
    with pytest.raises(DataError, match='has no group text; it holds imageA, imageB'):
        Hdf5PairDataset(path, 'ivf', PACK)


def test_names_with_slashes(path, source):
    write_hdf5(path, [{**source[0], 'name': 'PET-MRI/1'}, {**source[1], 'name': 'CT-MRI/1'}])
    dataset = Hdf5PairDataset(path, 'mif', PACK)
    assert dataset.names == ['CT-MRI/1', 'PET-MRI/1']
    assert torch.equal(dataset[1]['source_a'], source[0]['source_a'])


def test_two_axes_without_the_leading_one(edit, source):
    def flatten(file):
        for group in ('imageA', 'imageB', 'text'):
            array = file[group]['1'][0]
            del file[group]['1']
            file[group]['1'] = array.astype(np.float16 if group == 'text' else np.float32)
    dataset = edit(flatten)
    assert torch.equal(dataset[0]['source_b'], source[0]['source_b']) and dataset[0]['text'].dtype == torch.float32


@pytest.mark.parametrize('stored', [dict(dtype='<f8'), dict(dtype='>f4'), dict(chunks=(1, 5, 7), compression='gzip')])
def test_arrays_of_any_type_and_storage(edit, source, stored):
    def store(file):
        for group in file.values():
            array = group['2'][()]
            del group['2']
            group.create_dataset('2', data=array, **stored if group.name != '/text' else {})
    sample = edit(store)[1]
    assert all(torch.equal(sample[key], source[1][key]) for key in ('source_a', 'source_b', 'text', 'text_mask'))


def test_every_mismatch_is_named(edit):
    def spoil(file):
        del file['imageB/1'], file['text/3']
        del file['imageA/2']
        file['imageA/2'] = np.zeros((3, 12, 16), np.float32)
        file['imageB/4'] = np.zeros((1, 2, 2), np.float32)
        file['imageA/4'] = np.zeros((1, 2, 3), np.float32)
    with pytest.raises(DataError) as caught:
        edit(spoil)
    for offender in ('1 is not in imageB', '3 is not in text', '4 is not in text', 'imageA/2 has the shape (3, 12, 16)',
                     '4 has the shape (1, 2, 3) in imageA but (1, 2, 2) in imageB'):
        assert offender in caught.value.problem


def test_text_of_unequal_width(edit):
    def widen(file):
        del file['text/1']
        file['text/1'] = np.zeros((1, 2, 5), np.float32)
    with pytest.raises(DataError, match='different widths: 4, 5'):
        edit(widen)


def test_values_beyond_luminance(edit):
    def scale(file):
        file['imageA/2'][...] *= 255
    with pytest.raises(DataError, match=r'2 in .* has values .* expected luminance in \[0, 1\]'):
        edit(scale)[1]


@pytest.mark.parametrize(('spoil', 'message'), [
    (lambda path: path.unlink(), 'There is no file'),
    (lambda path: path.write_bytes(b'text'), 'not an HDF5 file'),
    (lambda path: path.write_bytes(path.read_bytes()[:-100]), 'truncated'),
    (lambda path: h5py.File(path, 'w').close(), 'has no group imageA or imageB or text; it holds nothing'),
    (lambda path: write_hdf5(path, []), 'has no group'),
])
def test_unusable_files(path, spoil, message):
    spoil(path)
    with pytest.raises(DataError, match=message):
        Hdf5PairDataset(path, 'ivf', PACK)


def _external(file):
    (Path(file.filename).parent / 'secret').write_bytes(bytes(12 * 16 * 4))
    file.create_dataset('imageA/2', (1, 12, 16), np.float32, external=[('secret', 0, 12 * 16 * 4)])


def _virtual(file):
    layout = h5py.VirtualLayout((1, 12, 16), np.float32)
    layout[:] = h5py.VirtualSource('.', 'imageA/1', (1, 12, 16))
    file.create_virtual_dataset('imageA/2', layout)


def _vlen(file):
    file.create_dataset('imageA/2', (1, 12, 16), h5py.vlen_dtype(np.float32))


def _compound(file):
    file.create_dataset('imageA/2', (1, 12, 16), [('q', np.float32), ('z', np.int32)])


def _cycle(file):
    file.create_group('imageA/2')['2'] = file['imageA']


def _deep(file):
    file.create_group('imageA/' + '/'.join(['2'] * 2000))


@pytest.mark.parametrize(('store', 'problem'), [
    (_external, 'another file'), (_virtual, 'another file'), (_vlen, 'expected numbers'),
    (_compound, 'expected numbers'), (_cycle, 'a group inside itself'), (_deep, 'too deep'),
    (lambda file: file.__setitem__('imageA/2', h5py.ExternalLink('other.h5', '/imageA/1')), 'a link'),
    (lambda file: file.__setitem__('imageA/2', h5py.SoftLink('/imageA/1')), 'a link'),
    (lambda file: file.create_dataset('imageA/2', (1, 12, 16), h5py.ref_dtype), 'expected numbers'),
    (lambda file: file.create_dataset('imageA/2', (1, 12, 16), h5py.string_dtype()), 'expected numbers'),
    (lambda file: file.__setitem__('imageA/2', np.zeros((1, 12, 16), complex)), 'expected numbers'),
    (lambda file: file.__setitem__('imageA/2', np.zeros((1, 0, 16))), 'no values'),
    (lambda file: file.__setitem__('imageA/2', 1.), 'no values'),
    (lambda file: file.__setitem__('imageA/2', h5py.Empty('f4')), 'no values'),
    (lambda file: file.__setitem__('imageA/2', np.dtype('f4')), 'neither an array nor a group'),
    (lambda file: file.create_dataset('imageA/2', (1, 12, 16), np.float32), 'nothing was ever written'),
    (lambda file: file.create_dataset('imageA/2', (1, 400000, 400000), np.float32), 'at most'),
])
def test_what_is_no_array_of_numbers_in_the_file(edit, store, problem):
    def change(file):
        del file['imageA/2']
        store(file)
    with pytest.raises(DataError, match=f'imageA/2.* {problem}') as caught:
        edit(change)
    assert 'toy.h5' in caught.value.problem


@pytest.mark.parametrize('link', [h5py.ExternalLink('other.h5', '/imageA'), h5py.SoftLink('/imageB')])
def test_a_whole_group_from_elsewhere(edit, link):
    def change(file):
        del file['imageA']
        file['imageA'] = link
    with pytest.raises(DataError, match='imageA is a link'):
        edit(change)


@pytest.mark.parametrize('name', ['../x', '../../x', 'a\\x', 'c:x', 'a\nb', 'x' * 300])
def test_names_that_lead_elsewhere(edit, source, name):
    def change(file):
        for group in ('imageA', 'imageB', 'text'):
            *folders, stem = name.split('/')
            parent = file[group]
            for folder in folders:
                parent = h5py.Group(h5py.h5g.create(parent.id, folder.encode()))
            parent[stem] = np.zeros((1, 2, 4), np.float32)
    with pytest.raises(DataError, match='invalid names of pairs'):
        edit(change)


def test_nor_are_such_names_written(source, tmp_path):
    with pytest.raises(DataError, match='invalid names of pairs'):
        write_hdf5(tmp_path / 'x.h5', [{**source[0], 'name': '../x'}])


def test_text_that_is_not_finite(edit):
    def spoil(file):
        file['text/2'][0, 1, 3] = np.nan
    with pytest.raises(DataError, match='text/2 in .*toy.h5 hold NaN'):
        edit(spoil)[1]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(path, source):
    before = path.read_bytes()
    with pytest.raises(KeyError):
        write_hdf5(path, [source[0], {'name': 'x'}])
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == 'win32', reason='limits of POSIX')
@pytest.mark.parametrize('limit', [100, 5000, 100_000])
def test_a_full_disk_is_an_error_and_no_crash(tmp_path, limit):
    code = f"""
import resource, sys
import torch
from vlfusion.data.hdf5 import write_hdf5
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
image = torch.rand(1, 32, 32)
try:
    write_hdf5(sys.argv[1], [dict(name=f'p{{index}}', source_a=image, source_b=image) for index in range(99)])
except OSError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, '-c', code, tmp_path / 'x.h5'], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, '') and f"'{tmp_path / 'x.h5'}'" in done.stdout
    assert not list(tmp_path.iterdir())


def test_one_handle_per_process(path):
    dataset = Hdf5PairDataset(path, 'ivf', PACK)
    assert dataset._file is None
    first, handle = dataset[0], dataset._file
    dataset[1]
    assert dataset._file is handle
    twin = pickle.loads(pickle.dumps(dataset))
    assert twin._file is None and torch.equal(twin[0]['source_a'], first['source_a'])
    assert handle.id.valid


def test_workers_after_the_parent_has_read(path, build_dataloader):
    dataset = Hdf5PairDataset(path, 'ivf', PACK)
    expected = [dataset[index % 3]['source_a'] for index in range(6)]
    loader = build_dataloader(dict(dataset=dataset, batch_size=1, num_workers=2,
                                   sampler=dict(type='EpochSampler', shuffle=False)), seed=0)
    batches = [batch['source_a'][0] for batch in islice(loader, 6)]
    assert all(map(torch.equal, batches, expected))
    assert torch.equal(dataset[0]['source_a'], expected[0])
