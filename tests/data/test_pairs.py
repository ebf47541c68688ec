import pytest
from vlfusion_shared import shared

from vlfusion.data.pairs import Pair, check_images, find_pairs, find_subset_pairs
from vlfusion.errors import ConfigError, DataError


def names(pairs):
    return [pair.name for pair in pairs]


def test_pairs_by_stem_whatever_the_ending(root, write):
    write(root / 'ir', '.4.png')
    (root / 'ir' / 'notes.txt').write_text('not an image')
    pairs = find_pairs(root, 'ir', 'vi/', modality_a='infrared', modality_b='visible')
    assert names(pairs) == ['1', '2', '3']
    assert pairs[1] == Pair('2', root / 'ir/2.PNG', root / 'vi/2.png', 'infrared', 'visible')


def test_patterns(tmp_path, write):
    write(tmp_path / 'MEFB/house', 'house_A.jpg', 'house_B.png')
    write(tmp_path / 'MEFB/door.1', 'Door.1_A.jpg', 'Door.1_B.jpg')
    assert names(find_pairs(tmp_path, 'MEFB/*/{name}_A.*', 'MEFB/*/{name}_B')) == ['Door.1', 'house']
    assert names(find_pairs(tmp_path, 'MEFB/*/{name}_A.jpg', '**/{name}_B.*')) == ['Door.1', 'house']


def test_two_stars_take_every_depth(tmp_path, write):
    write(tmp_path, 'top_A.png', 'top_B.png')
    write(tmp_path / 'x/y', 'deep_A.png', 'deep_B.png')
    assert names(find_pairs(tmp_path, '**/{name}_A.*', '**/{name}_B.*')) == ['deep', 'top']


def test_absolute_folder_and_root_with_glob_signs(tmp_path, write):
    write(tmp_path / 'set [1]' / 'ir', 'a.png')
    write(tmp_path / 'elsewhere', 'a.png')
    assert names(find_pairs(tmp_path / 'set [1]', 'ir', str(tmp_path / 'elsewhere'))) == ['a']


@pytest.mark.parametrize('pattern', ['{name}/image.png', 'ir/{name}_*.png', '{name}/{name}.png', '{name}_{name}.png'])
def test_pattern_that_does_not_say_where_the_name_is(root, pattern):
    with pytest.raises(ConfigError, match='where the name'):
        find_pairs(root, pattern, 'vi')


def test_every_offender_is_named(root, write):
    write(root / 'ir', 'only_a.png', '1.jpeg', 'Case.png')
    write(root / 'vi', 'only_b.png', 'case.png')
    with pytest.raises(DataError) as caught:
        find_pairs(root, 'ir', 'vi')
    problem = caught.value.problem
    for offender in ('only_a.png (source A) has no partner', 'only_b.png (source B) has no partner',
                     'Case.png (source A)', 'case.png (source B)', "'1' names several images of source A"):
        assert offender in problem
    assert '2.PNG' not in problem


def test_absent_and_empty_folders_say_what_is_there(root):
    (root / 'empty').mkdir()
    with pytest.raises(DataError) as caught:
        find_pairs(root, 'infrared', 'empty')
    problem = caught.value.problem
    assert f'no image of source A fits {root}/infrared/{{name}}.*; {root} holds empty/, ir/, vi/' in problem
    assert f'no image of source B fits {root}/empty/{{name}}.*; {root}/empty holds nothing' in problem
    assert 'partner' not in problem


def test_sources_that_are_the_same_files(root):
    with pytest.raises(DataError, match='the same files'):
        find_pairs(root, 'ir', 'ir/{name}.*')


def test_split_as_list_or_file(root, write):
    write(root / 'ir', 'unlisted.png')
    (root / 'train.txt').write_text('# half of it\n3.png\n\n1\n')
    assert names(find_pairs(root, 'ir', 'vi', 'train.txt')) == ['1', '3']
    assert names(find_pairs(root, 'ir', 'vi', ['2', '1.jpg'])) == ['1', '2']


def test_split_with_names_that_are_not_there(root, write):
    write(root / 'ir', 'only_a.png')
    (root / 'train.txt').write_text('1\n1.png\n9\nonly_a\n')
    with pytest.raises(DataError) as caught:
        find_pairs(root, 'ir', 'vi', 'train.txt')
    for offender in ("'1' is in", '2 times', "'9' is in", 'no image has that name',
                     'only_a.png (source A) has no partner'):
        assert offender in caught.value.problem
    with pytest.raises(DataError, match=r'no list of names at .*test.txt; .* holds ir/, train.txt, vi/'):
        find_pairs(root, 'ir', 'vi', 'test.txt')
    with pytest.raises(DataError, match='holds no names'):
        find_pairs(root, 'ir', 'vi', [])


def test_subsets_keep_equal_stems_apart(tmp_path, write):
    for subset in ('CT', 'PET'):
        write(tmp_path / subset / 'MRI', '1.png')
        write(tmp_path / subset / subset, '1.png')
    subsets = {f'{one}-MRI': dict(source_a=f'{one}/MRI', source_b=f'{one}/{one}', modality_b=one)
               for one in ('PET', 'CT')}
    pairs = find_subset_pairs(tmp_path, subsets)
    assert [(pair.name, pair.path_b.parent.name, pair.modality_b) for pair in pairs] == [
        ('CT-MRI/1', 'CT', 'CT'), ('PET-MRI/1', 'PET', 'PET')]
    with pytest.raises(DataError) as caught:
        find_subset_pairs(tmp_path, {'x': dict(source_a='CT/nowhere', source_b='CT/CT'),
                                     'y': dict(source_a='PET/MRI', source_b='PET/neither')})
    assert 'nowhere' in caught.value.problem and 'neither' in caught.value.problem


def test_check_images_names_every_damaged_file_and_unequal_size(root, write):
    pairs = find_pairs(root, 'ir', 'vi')
    check_images(pairs)
    whole = (root / 'ir/1.png').read_bytes()
    (root / 'ir/1.png').write_bytes(whole[:len(whole) // 2])
    (root / 'vi/1.jpg').write_bytes((root / 'vi/1.jpg').read_bytes()[:-10])
    (root / 'vi/2.png').write_bytes(b'')
    write(root / 'ir', '3.bmp', shape=(16, 12))
    with pytest.raises(DataError) as caught:
        check_images(pairs, threads=2)
    for offender in ('ir/1.png', 'vi/1.jpg', 'vi/2.png', '3.bmp is 12x16', '3.tif is 16x12'):
        assert offender in caught.value.problem
    assert '4 images or pairs' in caught.value.problem


@pytest.mark.parametrize('subset', ['../x', '/x', '', 'a\\b'])
def test_subsets_that_would_lead_out_of_the_results(root, subset):
    with pytest.raises(DataError, match='subsets holds names that no pair can have'):
        find_subset_pairs(root, {subset: dict(source_a='ir', source_b='vi')})


@pytest.mark.parametrize(('folder', 'source_a', 'source_b', 'count'), [
    ('mef/MEFB', '*/{name}_B.*', '*/{name}_A.*', 20),
    ('ivf/TNO', 'ir', 'vi', 8),
    ('mff/Lytro', 'near', 'far', 10),
    ('mif/Harvard', 'PET-MRI/test/MRI', 'PET-MRI/test/PET', 24),
])
def test_real_folders(folder, source_a, source_b, count):
    pairs = find_pairs(shared(f'data/{folder}'), source_a, source_b)
    assert len(pairs) == count
    check_images(pairs[:3])


def test_real_subsets():
    root = shared('data/mif/Harvard')
    subsets = {f'{one}-MRI': dict(source_a=f'{one}-MRI/train/MRI', source_b=f'{one}-MRI/train/{one}')
               for one in ('CT', 'PET', 'SPECT')}
    pairs = find_subset_pairs(root, subsets)
    assert len(pairs) == len(set(names(pairs))) == 738
    assert len({pair.path_a.stem for pair in pairs}) < 738


@pytest.mark.parametrize('folders', [('ir', 'vi'), ('both', 'both')])
def test_names_that_differ_in_their_last_part_get_patterns_as_remedy(tmp_path, write, folders):
    for index in (1, 2):
        for folder, tail in zip(folders, 'TW', strict=True):
            write(tmp_path / folder, f'DJI_{index}_{tail}.JPG')
    with pytest.raises(DataError) as raised:
        find_pairs(tmp_path, *folders)
    patterns = [f'{folder}/{{name}}_{tail}.*' for folder, tail in zip(folders, 'TW', strict=True)]
    assert all(repr(pattern) in raised.value.remedy for pattern in patterns)
    assert names(find_pairs(tmp_path, *patterns)) == ['DJI_1', 'DJI_2']
