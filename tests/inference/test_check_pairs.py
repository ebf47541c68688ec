"""`vlfusion check-pairs`: a table, pictures and registered files."""

import csv

import cv2
import numpy as np
import pytest

from vlfusion.cli import main
from vlfusion.errors import ConfigError, DataError
from vlfusion.imaging.images import read_image, write_image
from vlfusion.imaging.registration.alignment import known_movement
from vlfusion.imaging.registration.warp import warp
from vlfusion.inference.check_pairs import check_pairs

pytest.importorskip('SimpleITK', reason="pip install 'vlfusion[registration]'")


def drawing(seed):
    rng, size = np.random.default_rng(seed), (96, 120)
    image = np.full(size, 90, np.uint8)
    for _ in range(50):
        centre = int(rng.integers(0, size[1])), int(rng.integers(0, size[0]))
        axes = tuple(int(length) for length in rng.integers(4, 24, 2))
        cv2.ellipse(image, centre, axes, int(rng.integers(0, 180)), 0, 360, int(rng.integers(20, 240)), -1)
    return image


@pytest.fixture
def rig(tmp_path):
    """Four pairs of one rig, whose second camera is shifted; and one registered pair."""
    for number in range(5):
        image = drawing(number)
        shift = (4, -3) if number else (0, 0)
        moved = warp(255 - image, np.linalg.inv(known_movement(image.shape, shift)), image.shape)
        write_image(tmp_path / f'ir/{number}.png', image)
        write_image(tmp_path / f'vi/{number}.png', moved.astype(np.uint16) * 257)
    return tmp_path


def test_a_rig_is_measured_and_registered(rig, capsys):
    command = ['check-pairs', f'{rig}/ir', f'{rig}/vi', '--register', 'rigid', '--out', f'{rig}/out']
    assert main(command) == 1
    out = capsys.readouterr().out
    assert '5 pairs: 1 aligned, 4 misaligned, 0 unsure' in out and 'share a shift of' in out
    with open(rig / 'out/alignment.csv', newline='') as file:
        rows = {row['name']: row for row in csv.DictReader(file)}
    for number in range(1, 5):
        row = rows[str(number)]
        assert (float(row['shift_x']), float(row['shift_y'])) == pytest.approx((4, -3), abs=0.5)
        assert row['verdict'] == 'misaligned' and row['confidence'] == 'high'
        assert float(row['mutual_information_after']) > float(row['mutual_information_before'])
    assert rows['0']['verdict'] == 'aligned' and (rows['0']['width'], rows['0']['height']) == ('120', '96')
    assert read_image(rig / 'out/overlay/1.png').shape == (96, 2 * 120 + 8, 3)
    assert np.array_equal(read_image(rig / 'out/registered/0.png'), read_image(rig / 'vi/0.png'))
    registered = read_image(rig / 'out/registered/1.png')
    assert registered.dtype == np.uint16
    assert main(['check-pairs', f'{rig}/ir', f'{rig}/out/registered', '--motion', 'rigid']) == 0


def test_python_gives_the_movements_and_the_errors(rig):
    (rig / 'vi/2.png').write_bytes(b'no image')
    write_image(rig / 'vi/3.png', drawing(3)[:-9])
    checks = check_pairs(rig / 'ir', rig / 'vi', names=['1', '2', '3'], motion='rigid')
    assert [*checks.alignments] == ['1'] and 'no image' not in str(checks.failed['2'])
    assert '--fit resize' in checks.failed['3'].remedy
    assert checks.alignments['1'].shift == pytest.approx((4, -3), abs=0.5) and checks.common_shift is None


def test_a_thin_pair_does_not_stop_the_others(rig):
    for folder in ('ir', 'vi'):
        write_image(rig / folder / '0.png', np.tile(np.arange(0, 250, 10, np.uint8), (1, 40)))
    checks = check_pairs(rig / 'ir', rig / 'vi', rig / 'out', names=['0', '1'], motion='rigid')
    assert checks.alignments['0'].verdict == 'unsure' and checks.alignments['1'].verdict == 'misaligned'


def test_mistakes_are_told_before_anything_is_read(rig, capsys):
    with pytest.raises(ConfigError, match='Unknown motion'):
        check_pairs(rig / 'nowhere', rig / 'vi', motion='elastic')
    with pytest.raises(DataError, match='No image or folder'):
        check_pairs(rig / 'nowhere', rig / 'vi')
    with pytest.raises(ConfigError, match='no folder'):
        check_pairs(rig / 'ir', rig / 'vi', register=True)
    assert main(['check-pairs', f'{rig}/ir', f'{rig}/vi', '--register', 'rigid']) == 2
    assert 'Add --out' in capsys.readouterr().err
