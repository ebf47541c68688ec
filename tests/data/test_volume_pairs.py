"""Slices of volumes as a data set: the pictures of `fuse`, cut once, with whole cases in a split."""

import os

import numpy as np
import pytest
import SimpleITK
from volumetric import grid, ramp, rotation, write_nifti

from vlfusion.data.from_config import find_datasets
from vlfusion.data.names import case_of
from vlfusion.data.volume_pairs import VolumePairDataset
from vlfusion.errors import ConfigError, DataError
from vlfusion.imaging.images import luminance, read_image
from vlfusion.registry import DATASETS
from vlfusion.volumes.pair import VolumePair
from vlfusion.volumes.reading import read_volume
from vlfusion.volumes.volume import to_image

SHAPE = 12, 14, 6
PIPELINE = [dict(type='LoadPair'), dict(type='PackPair')]


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Five cases with an MRI and an oblique PET, whose first slice is black."""
    monkeypatch.setenv('VLFUSION_HOME', str(tmp_path / 'home'))
    affine, oblique = grid(SHAPE, (2, 2, 6)), grid((20, 20, 20), (2, 2, 2), rotation(12, (1, 2, 3)))
    for number in range(5):
        folder = tmp_path / f'data/sub-{number}'
        folder.mkdir(parents=True)
        mri = ramp(SHAPE, affine) + number
        mri[:, :, 0] = mri.min()
        write_nifti(folder / 'mri.nii.gz', mri, affine)
        write_nifti(folder / 'pet.nii', ramp((20, 20, 20), oblique, (1, -2, 3)), oblique)
    return tmp_path / 'data'


def dataset(root, **options):
    return VolumePairDataset('mif', root, '{name}/mri.nii.gz', '{name}/pet.nii', pipeline=PIPELINE, **options)


def test_samples_are_the_slices_of_the_volumes(root):
    slices = dataset(root, window_b='minmax', axis='coronal', least=0)
    assert len(slices) == 5 * 14 and slices.cases == [f'sub-{number}' for number in range(5)]
    pair = VolumePair(read_volume(root / 'sub-3/mri.nii.gz'), read_volume(root / 'sub-3/pet.nii'), window_b='minmax',
                      axis='coronal')
    index = next(index for index, item in enumerate(slices.pairs) if item.name == 'sub-3/slice_0005')
    sample = slices[index]
    for key, path, picture in zip(('source_a', 'source_b'), (slices.pairs[index].path_a, slices.pairs[index].path_b),
                                  pair.pictures(5), strict=True):
        np.testing.assert_array_equal(read_image(path), picture)
        np.testing.assert_array_equal(sample[key][0].numpy(), luminance(picture))
    assert {root / 'sub-0/mri.nii.gz', root / 'sub-4/pet.nii'} <= set(slices.files())


def test_black_slices_and_every_other_one_are_left_out(root):
    names = [pair.name for pair in dataset(root, names=['sub-1']).pairs]
    assert names == [f'sub-1/slice_000{index}' for index in (1, 2, 3, 4, 5)]
    names = [pair.name for pair in dataset(root, names=['sub-1'], every=2).pairs]
    assert names == [f'sub-1/slice_000{index}' for index in (2, 4)]
    with pytest.raises(DataError, match='is filled to 100%'):
        dataset(root, least=1, window_a='520,10')
    assert not [entry for entry in os.listdir(root.parent / 'home/volumes') if entry.endswith('.partial')]


def test_slices_are_cut_once_until_something_changes(root, tmp_path):
    slices = dataset(root, slices=tmp_path / 'slices')
    times = {pair.path_a: pair.path_a.stat().st_mtime_ns for pair in slices.pairs}
    again = dataset(root, slices=tmp_path / 'slices')
    assert {pair.path_a: pair.path_a.stat().st_mtime_ns for pair in again.pairs} == times
    affine = grid(SHAPE, (2, 2, 6))
    write_nifti(root / 'sub-0/mri.nii.gz', ramp(SHAPE, affine, (-1, 5, 2)), affine)
    changed = dataset(root, slices=tmp_path / 'slices')
    assert changed.pairs[0].path_a not in times and changed.pairs[-1].path_a in times
    assert dataset(root, slices=tmp_path / 'slices', window_a='minmax').pairs[-1].path_a not in times


@pytest.mark.parametrize(('header', 'files'), [('x.mhd', ['x.mhd', 'x.raw']), ('x.nhdr', ['x.nhdr', 'x.raw']),
                                                ('x.nrrd', ['x.nrrd']), ('x.mha', ['x.mha'])])
def test_voxels_beside_their_header_count(root, tmp_path, header, files):
    affine = grid(SHAPE, (2, 2, 6))
    for case in range(5):
        folder = root / f'sub-{case}'
        SimpleITK.WriteImage(to_image(ramp(SHAPE, affine), affine), folder / header)
        assert [file.name for file in read_volume(folder / header).files] == files
    slices = VolumePairDataset('mif', root, f'{{name}}/{header}', '{name}/pet.nii', slices=tmp_path / 'slices')
    assert {root / f'sub-0/{file}' for file in files} <= set(slices.files())
    os.utime(root / f'sub-0/{files[-1]}', ns=(0, 0))
    again = VolumePairDataset('mif', root, f'{{name}}/{header}', '{name}/pet.nii', slices=tmp_path / 'slices')
    assert [old.path_a == new.path_a for old, new in zip(slices.pairs, again.pairs, strict=True)][::6] == [
        False, *[True] * 4]


def test_a_case_is_never_in_two_splits(root):
    config = dict(type='VolumePairDataset', task='mif', data_root=str(root), source_a='{name}/mri.nii.gz',
                  source_b='{name}/pet.nii', parts=dict(train=3, test=2))
    train, test = (DATASETS.build({**config, 'part': part}) for part in ('train', 'test'))
    assert len(train.cases) == 3 and len(test.cases) == 2 and not set(train.cases) & set(test.cases)
    for part in (train, test):
        assert {case_of(pair.name) for pair in part.pairs} == set(part.cases)


def test_a_config_finds_the_slices(root):
    from mmengine.config import Config
    part = dict(type='VolumePairDataset', task='mif', data_root=str(root), source_a='{name}/mri.nii.gz',
                source_b='{name}/pet.nii', pipeline=PIPELINE)
    [(split, found)] = find_datasets(Config(dict(test_dataloader=dict(dataset=part))), ['test'])
    assert split == 'test' and len(found.pairs) == 25 and found.pairs[0].modality_a == 'MRI'


def test_arguments_that_are_not_valid(root):
    for options in (dict(every=0), dict(least=2)):
        with pytest.raises(ConfigError, match='choose no slices'):
            dataset(root, **options)
    with pytest.raises(ConfigError, match='Unknown window'):
        dataset(root, window_a='brain')
