"""Finding stacks: files, a folder of stacks, folders whose files share names."""

import numpy as np
import pytest
import tifffile

from vlfusion.console.notes import new_run
from vlfusion.data.stacks import find_stacks
from vlfusion.errors import DataError
from vlfusion.imaging.reading.rule import Reading


@pytest.fixture
def touch(tmp_path):
    def make(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b'')
        return tmp_path
    return make


def listed(stacks, root):
    return {stack.name: [str(path.relative_to(root)) for path in stack.paths] for stack in stacks}


def test_files_keep_their_order(touch):
    root = touch('under.jpg', 'mid.jpg', 'over.jpg')
    found = find_stacks([root / f'{name}.jpg' for name in ('over', 'mid', 'under')])
    assert listed(found, root) == {'over': ['over.jpg', 'mid.jpg', 'under.jpg']}


def test_a_folder_of_stacks_counts_by_numbers(touch):
    root = touch('b/10.png', 'b/9.png', 'b/2.PNG', 'b/notes.txt', 'b/.9.png', 'a10/x.png', 'a10/y.tif', 'a2/x.png',
                 'a2/y.tif')
    assert listed(find_stacks([root]), root) == {
        'a2': ['a2/x.png', 'a2/y.tif'], 'a10': ['a10/x.png', 'a10/y.tif'], 'b': ['b/2.PNG', 'b/9.png', 'b/10.png']}
    assert list(listed(find_stacks([root], ['b', 'a2']), root)) == ['a2', 'b']
    assert listed(find_stacks([root / 'b']), root) == {'b': ['b/2.PNG', 'b/9.png', 'b/10.png']}


@pytest.mark.parametrize('folder', ['', 'b'])
def test_files_that_are_left_out_are_named(touch, caplog, folder):
    root = touch('b/0.png', 'b/1.png', 'b/2.heic', 'b/3.DNG', 'b/.hidden')
    new_run()
    assert [len(stack.paths) for stack in find_stacks([root / folder])] == [2]
    assert '2.heic' in caplog.text and '3.DNG' in caplog.text and '.hidden' not in caplog.text


def test_pages_of_a_file_are_a_stack(tmp_path):
    for name, count in (('z10', 2), ('z9', 3), ('field/any', 4), ('mixed/a', 2), ('mixed/b', 1)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / f'{name}.tif', np.zeros((count, 4, 4), np.uint8), photometric='minisblack')

    def found(*sources, **options):
        return [(stack.name, [page.number for page in stack.paths])
                for stack in find_stacks([tmp_path / source for source in sources], **options)]

    assert found('z9.tif') == [('z9', [1, 2, 3])]
    assert found('field') == [('any', [1, 2, 3, 4])]
    with pytest.raises(DataError, match=r'only .*z9\.tif'):
        found('z9.tif', reading=Reading.of(page=2))
    with pytest.raises(DataError, match=r'holds files with several pages, such as a\.tif, beside .* b\.tif'):
        found('mixed')
    (tmp_path / 'mixed/b.tif').unlink()
    stacks = tmp_path / 'stacks'
    stacks.mkdir()
    for name in ('z10.tif', 'z9.tif'):
        (tmp_path / name).rename(stacks / name)
    assert found('stacks') == [('z9', [1, 2, 3]), ('z10', [1, 2])]
    assert found('stacks', names=['z10']) == [('z10', [1, 2])]
    for name in ('z10', 'z9'):
        (stacks / name).mkdir()
        (stacks / f'{name}.tif').rename(stacks / name / 'planes.tif')
    assert found('stacks') == [('z9', [1, 2, 3]), ('z10', [1, 2])]


def test_folders_are_matched_by_name(touch):
    root = touch(*(f'{place}/{name}.png' for place in ('under', 'mid', 'over') for name in 'pq'))
    expected = {name: [f'{place}/{name}.png' for place in ('under', 'mid', 'over')] for name in 'pq'}
    assert listed(find_stacks([root / place for place in ('under', 'mid', 'over')]), root) == expected
    (root / 'mid/q.png').unlink()
    with pytest.raises(DataError, match='no .*mid'):
        find_stacks([root / place for place in ('under', 'mid', 'over')])


@pytest.mark.parametrize(('sources', 'message'), [
    (['a.png'], r'two pictures or more, but there is only .*a\.png'),
    (['a.png', 'b.png', 'a.png'], r'a\.png and .*a\.png are the same file'),
    (['a.png', 'one', 'b.png'], r'a\.png is a file and .*one is a folder'),
    (['a.png', 'b.png', 'gone.png'], r'No image or folder at .*gone\.png'),
    (['both'], r'both holds pictures, such as x\.png, beside folders, such as deeper/'),
    (['stacks'], r'(?s)stacks/alone holds 1 picture; .*stacks/empty holds no pictures'),
    (['one'], 'one holds 1 picture; '),
    (['*/{name}.png'], r'One pattern, .*, gives one picture for each stack'),
])
def test_what_is_no_stack(touch, sources, message):
    root = touch('a.png', 'b.png', 'one/x.png', 'both/x.png', 'both/deeper/x.png', 'stacks/alone/0.png',
                 'stacks/empty/read.me', 'stacks/good/0.png', 'stacks/good/1.png')
    with pytest.raises(DataError, match=message):
        find_stacks([root / source for source in sources])


def test_unknown_names(touch):
    with pytest.raises(DataError, match="'c' is in the list of names, but no image has that name"):
        find_stacks([touch('a/0.png', 'a/1.png', 'b/0.png', 'b/1.png')], ['a', 'c'])
