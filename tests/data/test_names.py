"""Names are refused where they cannot be saved or would lead elsewhere."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from vlfusion.benchmark.methods import FolderMethod
from vlfusion.data.names import composed, inside, name_problem, require_names, spelled, spellings
from vlfusion.data.pairs import Pair
from vlfusion.data.text import FeatureFiles
from vlfusion.errors import DataError


@pytest.mark.parametrize('name', ['1', 'PET-MRI/12', 'a b', 'x.y', '..x', 'x..', '夜间', "it's", '-1', '=1', 'a' * 251])
def test_names_that_can_be_saved(name):
    assert not name_problem(name)


@pytest.mark.parametrize('name', [
    '', '.', '..', '../x', 'a/../../x', 'a/..', 'a/./b', 'a//b', 'a/', '/x', '/', 'C:x', 'c:/x', r'..\x', r'\\host\x',
    'a\0b', 'a\nb', 'a\x1b[31m', 'a\x9b', '\ud800', 'a' * 252, 'ä' * 126, '/'.join('a' * 600), 7, None, b'x', ['x'],
    {'x': 1}])
def test_names_that_would_lead_elsewhere(name):
    assert name_problem(name)
    with pytest.raises(DataError, match='toy.h5 holds invalid names of pairs') as caught:
        require_names(['1', name], 'toy.h5', 'Write the file again.')
    assert len(str(caught.value).splitlines()) == 3


def test_every_offender_is_named_and_doubles_are():
    with pytest.raises(DataError) as caught:
        require_names(['1', '../x', '2', '1', '/y'], 'toy.h5', 'Write the file again.')
    assert [line.split()[0] for line in caught.value.problem.splitlines()[1:]] == ["'../x'", "'1'", "'/y'"]


@pytest.mark.parametrize('name', ['../x', '/etc/x', 'a/../../x', '../out2/x', '..'])
def test_a_result_stays_in_its_folder(tmp_path, name):
    assert inside(tmp_path / 'out', 'PET-MRI/1', '.png') == tmp_path / 'out' / 'PET-MRI' / '1.png'
    with pytest.raises(DataError, match='outside'):
        inside(tmp_path / 'out', name, '/1.png')


ONE, TWO = 'Café', unicodedata.normalize('NFD', 'Café')  # alike to the eye: é as one sign, and as two


def test_spellings():
    assert spellings('a') == ['a'] and spellings(ONE) == [ONE, TWO] and spellings(TWO) == [TWO, ONE]
    assert composed(TWO) == ONE != TWO


@pytest.mark.parametrize(('there', 'asked'), [(ONE, ONE), (ONE, TWO), (TWO, ONE), (TWO, TWO)])
def test_a_file_is_found_in_either_spelling(tmp_path, there, asked):
    np.save(tmp_path / f'{there}.npy', np.ones((2, 3), np.float32))
    (tmp_path / f'{there}.png').touch()
    pair = Pair(asked, Path('a'), Path('b'))
    assert spelled(lambda name: tmp_path / f'{name}.png', asked).name == f'{there}.png'
    assert FeatureFiles(tmp_path, '{name}.npy').load(pair).shape == (2, 3)
    for pattern in ('', '/{name}.*', '/{name}.png'):
        files, problems = FolderMethod('M', {'S': f'{tmp_path}{pattern}'}).files('S', [pair])
        assert files == {asked: tmp_path / f'{there}.png'} and not problems


def test_a_file_that_is_not_there_is_named_as_it_was_asked_for(tmp_path):
    assert spelled(lambda name: tmp_path / name, TWO) == tmp_path / TWO
