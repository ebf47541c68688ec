"""The check of a data set says what is missing, misnamed, wrong, unpaired or extra."""

import cv2
import numpy as np
import pytest

from vlfusion.zoo.set_check import check_set, is_complete


@pytest.fixture
def toy_root(toy_set):
    """The complete set `Toy` on disk."""
    for place, content in toy_set.files.items():
        path = toy_set.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return toy_set.root


def told(name, root):
    """The findings as lines of text."""
    return [' '.join(finding).strip() for finding in check_set(name, root)]


def test_a_complete_set_has_no_findings(toy_root):
    assert told('Toy', toy_root) == []


def test_nothing_is_there(toy_set):
    assert told('Toy', toy_set.root) == [f'missing ivf/Toy/{folder} a folder of 2 files' for folder in ('ir', 'vi')]
    assert not toy_set.root.exists()


def test_one_file_is_missing_and_another_is_wrong(toy_root):
    (toy_root / 'ivf/Toy/ir/1.png').unlink()
    (toy_root / 'ivf/Toy/ir/2.png').write_bytes(b'SECOND')
    (toy_root / 'ivf/Toy/vi/2.png').write_bytes(b'longer than it was')
    assert told('Toy', toy_root) == [
        'missing ivf/Toy/ir/1.png', 'wrong ivf/Toy/ir/2.png another content than the published file',
        'wrong ivf/Toy/vi/2.png 18 bytes instead of 6']


def test_files_under_another_name_are_known_by_their_content(toy_root):
    (toy_root / 'ivf/Toy/ir/1.png').rename(toy_root / 'ivf/Toy/ir/FLIR_1.PNG')
    (toy_root / 'ivf/Toy/vi/2.png').rename(toy_root / 'ivf/Toy/2.png')
    assert told('Toy', toy_root) == ['misnamed ivf/Toy one of its files belongs into ivf/Toy/vi',
                                     'misnamed ivf/Toy/ir/FLIR_1.PNG should be called ivf/Toy/ir/1.png']


@pytest.mark.parametrize('wrong', ['infrared', 'anything'])
def test_a_folder_under_another_name_is_one_line(toy_root, wrong):
    (toy_root / 'ivf/Toy/ir').rename(toy_root / f'ivf/Toy/{wrong}')
    assert told('Toy', toy_root) == [f'misnamed ivf/Toy/{wrong} 2 of its files belong into ivf/Toy/ir']


def test_a_set_whose_own_folder_is_spelt_otherwise(toy_root):
    (toy_root / 'ivf').rename(toy_root / 'IVF')
    (toy_root / 'IVF/Toy').rename(toy_root / 'IVF/toy')
    assert told('Toy', toy_root)[0] == 'misnamed IVF/toy should be called ivf/Toy'
    assert 'misnamed IVF/toy/vi 2 of its files belong into ivf/Toy/vi' in told('Toy', toy_root)


def test_a_converted_file_is_named_beside_the_missing_one(toy_root):
    (toy_root / 'ivf/Toy/ir/1.png').unlink()
    (toy_root / 'ivf/Toy/ir/1.jpg').write_bytes(b'other')
    assert told('Toy', toy_root) == [
        'missing ivf/Toy/ir/1.png ivf/Toy/ir/1.jpg is there, which is another file',
        'extra ivf/Toy/ir/1.jpg is not part of the set']


def test_extra_files_are_allowed(toy_root):
    for number in range(9):
        (toy_root / f'ivf/Toy/vi/more{number}.png').touch()
    (toy_root / 'ivf/Toy/.hidden').touch()
    findings = check_set('Toy', toy_root)
    assert told('Toy', toy_root) == ['extra ivf/Toy/vi 9 files that are not part of the set'] and is_complete(findings)


def test_a_folder_in_place_of_a_file(toy_root):
    (toy_root / 'ivf/Toy/ir/1.png').unlink()
    (toy_root / 'ivf/Toy/ir/1.png').mkdir()
    assert told('Toy', toy_root) == ['wrong ivf/Toy/ir/1.png is not a file']


HAND = '''
[Drive]
title = "Three pairs on a drive"
task = "ivf"
source = "https://example.org"
[[Drive.pairs]]
folder = "Drive"
source_a = "IR"
source_b = "VI"
names = "test.txt"
texts = ["Text"]
count = 3
'''


@pytest.fixture
def drive(install_sets, tmp_path):
    """A data root with a complete set of which only the layout is known."""
    install_sets('handsets', HAND)
    folder = tmp_path / 'data/Drive'
    for place in ('IR', 'VI', 'Text'):
        (folder / place).mkdir(parents=True)
    for name in 'abc':
        for place in ('IR', 'VI'):
            cv2.imwrite(str(folder / place / f'{name}.png'), np.zeros((4, 6), np.uint8))
        (folder / 'Text' / f'{name}.npy').touch()
    (folder / 'test.txt').write_text('a.png\nb.png\n\nc.png\n')
    return folder


def test_a_set_by_hand_is_complete(drive):
    assert told('Drive', drive.parent) == []


def test_unpaired_misspelt_and_miscounted(drive):
    (drive / 'VI/a.png').rename(drive / 'VI/A.png')
    (drive / 'Text/b.npy').unlink()
    assert told('Drive', drive.parent) == [
        'missing Drive/IR 2 of 3 test pairs are there', 'missing Drive/Text 1 of 2 texts, such as b',
        'unpaired Drive/VI lacks the partner of a.png; A is spelt otherwise']


def test_other_names_of_folders_are_known(drive):
    (drive / 'VI').rename(drive / 'Visible')
    assert told('Drive', drive.parent) == ['misnamed Drive/Visible should be called Drive/VI']
    (drive / 'Visible').rename(drive / 'elsewhere')
    assert told('Drive', drive.parent) == ['missing Drive/VI a folder']


def test_images_that_are_none_and_pairs_of_two_sizes(drive):
    cv2.imwrite(str(drive / 'VI/a.png'), np.zeros((5, 6), np.uint8))
    (drive / 'IR/b.png').write_text('<!DOCTYPE html>')
    (drive / 'IR/c.png').write_bytes(b'')
    lines = told('Drive', drive.parent)
    assert lines[0] == 'wrong Drive/IR/a.png sizes differ: 6x4 in Drive/IR, 6x5 in Drive/VI'
    assert 'is a web page' in lines[1] and 'it is empty' in lines[2] and len(lines) == 3


def test_the_list_of_names_is_missing(drive):
    (drive / 'test.txt').unlink()
    assert told('Drive', drive.parent) == ['missing Drive/test.txt the names of the pairs']
