"""Differences of pictures are counted in grey levels."""

import cv2
import numpy as np
import pytest

from vlfusion.cli import main
from vlfusion.errors import DataError
from vlfusion.evaluation.difference import differences, over_all


@pytest.fixture
def folders(tmp_path):
    generator = np.random.default_rng(0)
    for name in ('1', '2'):
        image = generator.integers(0, 200, (10, 12), dtype=np.uint8)
        other = image.copy()
        other[0, :3] += 2
        for folder, file, pixels in (('ours', f'{name}.png', image), ('theirs', f'{name}_fused.bmp', other)):
            (tmp_path / folder).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / folder / file), pixels)
    return str(tmp_path / 'ours'), str(tmp_path / 'theirs/{name}_fused.*')


def test_levels_are_counted(folders):
    found = differences(*folders)
    assert [one.name for one in found] == ['1', '2']
    assert found[0].largest == 2 and found[0].mean == pytest.approx(6 / 120) and found[0].equal == pytest.approx(0.975)
    assert over_all(found).samples == 240
    [same] = differences(f'{folders[0]}/1.png', f'{folders[0]}/1.png')
    assert (same.largest, same.equal) == (0, 1)


def test_the_command_prints_and_judges(folders, capsys):
    assert main(['compare', *folders]) == 0
    printed = capsys.readouterr().out
    assert '97.500%' in printed and 'all' in printed
    assert main(['compare', *folders, '--most', '2']) == 0
    assert main(['compare', *folders, '--most', '1']) == 1
    assert '2 of 2 differ by more than 1: 1, 2.' in capsys.readouterr().out


def test_what_cannot_be_compared_is_named(folders, tmp_path):
    cv2.imwrite(str(tmp_path / 'ours/1.png'), np.zeros((10, 12, 3), np.uint8))
    cv2.imwrite(str(tmp_path / 'ours/2.png'), np.zeros((10, 13), np.uint8))
    with pytest.raises(DataError, match=r'(?s)1: .*uint8 colour.*2: .*13x10'):
        differences(*folders)
    (tmp_path / 'ours/2.png').unlink()
    with pytest.raises(DataError, match='has no partner in the first folder'):
        differences(*folders)


def test_folders_with_signs_in_their_names_and_a_picture_beside_a_folder(folders, tmp_path):
    (tmp_path / 'ours').rename(tmp_path / 'ours [v2]')
    assert len(differences(tmp_path / 'ours [v2]', folders[1])) == 2
    with pytest.raises(DataError, match='Give two pictures or two folders'):
        differences(tmp_path / 'ours [v2]/1.png', tmp_path / 'theirs')
