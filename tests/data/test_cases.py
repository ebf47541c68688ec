"""Cases of two volumes each: found by name, and never in two parts."""

import numpy as np
import pytest
from volumetric import grid, write_nifti, write_series

from vlfusion.data.cases import PARTS, find_cases, part_of
from vlfusion.errors import ConfigError, DataError

VOLUME = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_nifti(path, VOLUME, np.eye(4))


def test_a_folder_for_each_source(tmp_path):
    for case in ('b', 'a.1'):
        write(tmp_path / f'mri/{case}.nii.gz')
        write(tmp_path / f'pet/{case}.nii')
    (tmp_path / 'mri/notes.txt').write_text('no volume')
    found = find_cases(tmp_path, 'mri', 'pet/')
    assert found == {case: (tmp_path / f'mri/{case}.nii.gz', tmp_path / f'pet/{case}.nii') for case in ('a.1', 'b')}
    assert list(find_cases(tmp_path, 'mri', 'pet', ['b'])) == ['b']
    (tmp_path / 'test.txt').write_text('# the test\n\na.1\n')
    assert list(find_cases(tmp_path, 'mri', 'pet', 'test.txt')) == ['a.1']


def test_a_folder_for_each_case_with_a_series(tmp_path):
    for case in ('sub-1', 'sub-2'):
        write(tmp_path / case / 'anat/T1w.nii.gz')
        write_series(tmp_path / case / 'pet_fdg', VOLUME.astype(int), grid(VOLUME.shape))
    found = find_cases(tmp_path, 'sub-{name}/anat/T1w.nii.gz', 'sub-{name}/pet_*')
    assert found['2'] == (tmp_path / 'sub-2/anat/T1w.nii.gz', tmp_path / 'sub-2/pet_fdg')


def test_problems(tmp_path):
    write(tmp_path / 'mri/a.nii')
    write(tmp_path / 'pet/b.nii')
    with pytest.raises(DataError, match='a has no source B\n    b has no source A'):
        find_cases(tmp_path, 'mri', 'pet')
    for names, problem in ((['c'], "'c' is in the list of names, but no volume has that name"),
                           ('gone.txt', 'no list of names at .*gone.txt'), ([], 'the list of names holds no names'),
                           (['a', 'a'], "'a' is in the list of names 2 times")):
        with pytest.raises(DataError, match=problem):
            find_cases(tmp_path, 'mri', 'mri', names)
    with pytest.raises(DataError, match='No volume of source B fits .*ct'):
        find_cases(tmp_path, 'mri', '{name}/ct.nii')
    with pytest.raises(ConfigError, match='does not say where the name'):
        find_cases(tmp_path, 'mri/*.nii', 'pet')
    write(tmp_path / 'mri/a.nii.gz')
    with pytest.raises(DataError, match='Several volumes of source A have one name'):
        find_cases(tmp_path, 'mri', 'pet')


@pytest.mark.parametrize('count', [3, 5, 23, 100])
def test_every_case_is_in_one_part(count):
    cases = [f'case {number}' for number in range(count)]
    parts = {'train': 6, 'val': 2, 'test': 2}
    drawn = [part_of(cases, part, parts) for part in parts]
    assert sorted(sum(drawn, [])) == sorted(cases) and all(drawn)
    assert part_of(cases[::-1], 'train', parts) == drawn[0], 'the order of the files has no effect'
    assert count < 10 or part_of(cases, 'train', parts, seed=1) != drawn[0]


def test_parts_that_are_not_valid():
    with pytest.raises(ConfigError, match='no part'):
        part_of(['a'], 'trian', PARTS)
    with pytest.raises(ConfigError, match='2 cases are too few'):
        part_of(['a', 'b'], 'train', PARTS)
    with pytest.raises(ConfigError, match='above 0'):
        part_of(['a', 'b'], 'train', {'train': 1, 'test': 0})
