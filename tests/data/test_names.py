import pytest

from vlfusion.data.names import inside, name_problem, require_names
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
    with pytest.raises(DataError, match='toy.h5 holds names that no pair can have') as caught:
        require_names(['1', name], 'toy.h5', 'Write the file anew.')
    assert len(str(caught.value).splitlines()) == 3


def test_every_offender_is_named_and_doubles_are():
    with pytest.raises(DataError) as caught:
        require_names(['1', '../x', '2', '1', '/y'], 'toy.h5', 'Write the file anew.')
    assert [line.split()[0] for line in caught.value.problem.splitlines()[1:]] == ["'../x'", "'1'", "'/y'"]


@pytest.mark.parametrize('name', ['../x', '/etc/x', 'a/../../x', '../out2/x', '..'])
def test_a_result_stays_in_its_folder(tmp_path, name):
    assert inside(tmp_path / 'out', 'PET-MRI/1', '.png') == tmp_path / 'out' / 'PET-MRI' / '1.png'
    with pytest.raises(DataError, match='outside'):
        inside(tmp_path / 'out', name, '/1.png')
