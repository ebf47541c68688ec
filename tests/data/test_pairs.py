"""Images are paired by name, by patterns and by subsets; every offender is named."""

import os
import shutil
import unicodedata

import cv2
import numpy as np
import pytest
import tifffile

from vlfusion.data.pairs import Pair, check_images, find_pairs, find_subset_pairs
from vlfusion.errors import ConfigError, DataError
from vlfusion.imaging.images import SUFFIXES
from vlfusion.imaging.reading.image import FLOAT_SUFFIXES
from vlfusion.imaging.reading.rule import Reading
from vlfusion.imaging.tasks import get_task
from vlfusion.testing.shared import shared


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


def test_an_absent_folder_of_a_public_set_names_the_command_that_fetches_it(root):
    with pytest.raises(DataError) as caught:
        find_pairs(root, 'mff/Lytro/near', 'mff/Lytro/far')
    assert caught.value.remedy.startswith(f'`vlfusion data get Lytro --root {root}` fetches Lytro.\n')
    with pytest.raises(DataError) as caught:
        find_pairs(root, 'mine/ir', 'mine/vi')
    assert 'vlfusion data' not in caught.value.remedy


def test_an_absent_folder_holds_no_folders_with_images(root):
    with pytest.raises(DataError) as caught:
        find_pairs(root, 'infrared', 'vi')
    assert '**' not in caught.value.problem


def test_floating_point_images_that_do_not_count_say_why(root):
    (root / 'floats').mkdir()
    (root / 'floats/1.pfm').write_bytes(b'Pf')
    with pytest.raises(DataError, match='1.pfm holds floating-point numbers: (?s:.*)--range-a'):
        find_pairs(root, 'floats', 'vi')


@pytest.mark.parametrize('pattern', ['ir/*.png', 'ir/*_T.PNG', 'ir/{stem}.*', 'ir/?.tif', '*.png', '{name}/ir'])
def test_patterns_without_a_name_say_so(root, pattern):
    with pytest.raises(ConfigError, match=r'does not say where the name(?s:.*)\{name\} once'):
        find_pairs(root, pattern, 'vi')


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
    with pytest.raises(DataError, match='subsets holds invalid names of pairs'):
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


@pytest.mark.parametrize(('source_a', 'source_b'), [
    ('**/lwir', '**/visible'), ('set*/V*/lwir/{name}.*', 'set*/V*/visible/{name}.*'), ('set0?/**/lwir', '*/*/visible')])
def test_stems_that_repeat_are_told_apart_by_their_folders(tmp_path, write, source_a, source_b):
    for folder in ('set00/V000', 'set01/V001', 'set01/V002'):
        for kind in ('lwir', 'visible'):
            write(tmp_path / folder / kind, 'I00000.png', 'I00001.png')
    pairs = find_pairs(tmp_path, source_a, source_b)
    folders = 'set00/V000', 'set01/V001', 'set01/V002'
    assert names(pairs) == [f'{folder}/I0000{index}' for folder in folders for index in (0, 1)]
    assert pairs[0].path_a == tmp_path / 'set00/V000/lwir/I00000.png'
    assert names(find_pairs(tmp_path, source_a, source_b, names=['set01/V001/I00001'])) == ['set01/V001/I00001']


def test_folders_below_two_folders(tmp_path, write):
    for side in ('ir', 'vi'):
        for light in ('day', 'night'):
            write(tmp_path / 'set [1]' / side / light, '0.png', '1.png')
    pairs = find_pairs(tmp_path / 'set [1]', 'ir/**', 'vi/**')
    assert names(pairs) == ['day/0', 'day/1', 'night/0', 'night/1']
    assert pairs[2].path_b == tmp_path / 'set [1]/vi/night/0.png'
    with pytest.raises(DataError, match=r'holds day/, night/; write ir/\*\* for images in its folders'):
        find_pairs(tmp_path / 'set [1]', 'ir', 'vi')


def test_a_nested_image_without_its_partner_is_named(tmp_path, write):
    write(tmp_path / 'x/ir', '0.png')
    write(tmp_path / 'y/ir', '0.png', '1.png')
    write(tmp_path / 'x/vi', '0.png')
    write(tmp_path / 'y/vi', '0.png')
    with pytest.raises(DataError, match=r'y/ir/1\.png \(source A\) has no partner'):
        find_pairs(tmp_path, '*/ir', '*/vi')


def test_dead_links_folders_and_pipes_are_no_images(root):
    (root / 'ir/4.png').symlink_to(root / 'gone.png')
    (root / 'ir/5.png').mkdir()
    os.mkfifo(root / 'ir/6.png')
    for name in '456':
        shutil.copy(root / 'vi/2.png', root / f'vi/{name}.png')
    with pytest.raises(DataError) as caught:
        find_pairs(root, 'ir', 'vi')
    for offender in ('4.png is a dead link', '5.png: it is a folder', '6.png: it is a device, a pipe'):
        assert offender in caught.value.problem
    assert names(find_pairs(root, 'ir', 'vi', names=['1', '2', '3'])) == ['1', '2', '3']


def test_every_ending_that_is_read_counts(tmp_path, write):
    endings = [ending for ending in SUFFIXES if ending not in ('.gif', '.j2k')]
    for index, ending in enumerate(endings):
        written = {'.jfif': '.jpg', '.apng': '.png'}.get(ending, ending)
        for side in ('ir', 'vi'):
            write(tmp_path / side, f'{index}{written}', shape=(32, 48, 3)[:2 if ending in ('.pgm', '.pbm') else 3])
            (tmp_path / side / f'{index}{written}').rename(tmp_path / side / f'{index}{ending.upper()}')
    pairs = find_pairs(tmp_path, 'ir', 'vi')
    assert len(pairs) == len(endings) > 10
    check_images(pairs)


@pytest.mark.skipif(not FLOAT_SUFFIXES, reason='this OpenCV reads no floating-point format')
def test_floating_point_images_count_with_a_range(tmp_path, write):
    ending = FLOAT_SUFFIXES[0]
    for side in ('ir', 'vi'):
        write(tmp_path / side, 'a.png')
    assert cv2.imwrite(str(tmp_path / f'ir/b{ending}'), np.ones((12, 16, 3), np.float32))
    write(tmp_path / 'vi', 'b.png')
    with pytest.raises(DataError, match=r'vi/b\.png \(source B\) has no partner'):
        find_pairs(tmp_path, 'ir', 'vi')
    assert names(find_pairs(tmp_path, 'ir', 'vi', range_a='minmax')) == ['a', 'b']


def test_what_a_folder_holds_is_named(tmp_path):
    (tmp_path / 'ir').mkdir()
    (tmp_path / 'ir/IM0001').write_bytes(bytes(128) + b'DICM')
    with pytest.raises(DataError, match='holds IM0001; IM0001 is a DICOM file. `vlfusion fuse` takes two volumes'):
        find_pairs(tmp_path, 'ir', 'ir')


def test_rules_of_reading_belong_to_their_source(root):
    pair = find_pairs(root, 'ir', 'vi', range_a='percentile:1,99', page_a=2, bands_b=(3, 2, 1))[0]
    assert pair.reading_a == Reading('percentile', 1, 99, page=2) and pair.reading_b == Reading(bands=(3, 2, 1))
    assert pair.sources == ((pair.path_a, pair.reading_a), (pair.path_b, pair.reading_b))
    subsets = {'one': dict(source_a='ir', source_b='vi', range_a='minmax'), 'two': dict(source_a='ir', source_b='vi')}
    assert [str(pair.reading_a) for pair in find_subset_pairs(root, subsets)] == ['range=minmax'] * 3 + [''] * 3
    with pytest.raises(ConfigError, match='range'):
        find_pairs(root, 'ir', 'vi', range_b='min-max')


def test_files_of_several_pages_are_listed_with_the_choice(root):
    tifffile.imwrite(root / 'ir/1.png', np.zeros((3, 12, 16), np.uint8), photometric='minisblack')
    with pytest.raises(DataError, match=r'ir/1\.png holds 3 pages.*page_a=\.\.\.'):
        check_images(find_pairs(root, 'ir', 'vi'))


def test_a_range_of_values_is_noted_once_for_all_pairs(root, caplog):
    for name in ('1.png', '2.PNG', '3.bmp'):
        (root / f'ir/{name}').unlink()
        cv2.imwrite(str(root / f'ir/{name[0]}.png'), np.linspace(7000, 8500, 192).reshape(12, 16).astype(np.uint16))
    check_images(find_pairs(root, 'ir', 'vi'), task=get_task('ivf'))
    assert len(caplog.records) == 1 and 'values from 7000 to 8500' in caplog.text
    check_images(find_pairs(root, 'vi', 'ir'), task=get_task('ivf'))
    assert len(caplog.records) == 3 and 'swapped' in caplog.text
    caplog.clear()
    check_images(find_pairs(root, 'ir', 'vi', range_a='minmax'), task=get_task('ivf'))
    assert not caplog.records


def test_a_long_check_says_how_long_it_takes(tmp_path, monkeypatch, caplog):
    for source in ('ir', 'vi'):
        (tmp_path / source).mkdir()
        for index in range(5):
            cv2.imwrite(str(tmp_path / source / f'p{index}.png'), np.full((4, 4), 10 * index, np.uint8))
    pairs = find_pairs(tmp_path, 'ir', 'vi')
    check_images(pairs)
    assert not any('Checking' in record.getMessage() for record in caplog.records)
    caplog.clear()
    monkeypatch.setattr('vlfusion.data.pairs.PATIENCE', -1)
    check_images(pairs)
    notes = [record.getMessage() for record in caplog.records if 'Checking' in record.getMessage()]
    assert len(notes) == 1 and notes[0].startswith('note: Checking 5 pairs of images, which takes about ')


ONE, TWO = 'Café', unicodedata.normalize('NFD', 'Café')  # alike to the eye: é as one sign, and as two


@pytest.mark.parametrize(('first', 'second'), [(ONE, TWO), (TWO, ONE), (ONE, ONE), (TWO, TWO)])
@pytest.mark.parametrize('listed', [None, ONE, TWO])
def test_names_that_look_alike_are_one(tmp_path, first, second, listed):
    for folder, name in (('a', first), ('b', second)):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / f'{name}.png'), np.zeros((4, 4), np.uint8))
    [pair] = find_pairs(tmp_path, 'a', 'b', listed and [listed])
    assert pair.name == first, 'results are saved under the name of source A'
    assert pair.path_b == tmp_path / f'b/{second}.png'


def test_names_that_look_alike_in_one_folder_are_told(tmp_path):
    for folder, name in (('a', ONE), ('a', TWO), ('b', ONE)):
        (tmp_path / folder).mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / folder / f'{name}.png'), np.zeros((4, 4), np.uint8))
    with pytest.raises(DataError, match='names several images of source A'):
        find_pairs(tmp_path, 'a', 'b')


@pytest.mark.parametrize(('pattern', 'file'), [(ONE, TWO), (TWO, ONE)])
def test_patterns_fit_what_looks_alike(tmp_path, pattern, file):
    for folder in 'ab':
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / f'{file}_1.png'), np.full((4, 4), ord(folder), np.uint8))
    assert names(find_pairs(tmp_path, f'a/{pattern}_{{name}}.*', 'b/' + pattern + '_{name}.png')) == ['1']
