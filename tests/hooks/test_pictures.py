import numpy as np
import pytest
import torch

from vlfusion.errors import DataError
from vlfusion.hooks.pictures import SaveFusedHook, contact_sheet


def test_contact_sheet_shows_every_image_beside_its_result():
    grey = np.full((40, 60), 200, np.uint8)
    deep = np.full((40, 60), 40 * 257, np.uint16)
    colour = np.zeros((40, 60, 3), np.uint8)
    colour[..., 2] = 255
    rows = [('one', [grey, deep, colour]), ('two', [colour, grey, deep])]
    sheet = contact_sheet(rows, ('a', 'b', 'fused'), height=80)
    assert sheet.shape == (20 + 2 * (20 + 84), 3 * 124, 3)
    assert (sheet[80, [60, 184, 308]] == [[200] * 3, [40] * 3, [0, 0, 255]]).all()
    assert (sheet[184, 60] == [0, 0, 255]).all()


def test_images_of_two_widths_share_a_sheet():
    wide, narrow = np.zeros((10, 30), np.uint8), np.zeros((10, 10), np.uint8)
    assert contact_sheet([('wide', [wide]), ('narrow', [narrow])], ('a',), height=20).shape[1] == 64


@pytest.mark.parametrize('name', ['../../x', '/tmp/x'])
def test_no_picture_is_written_outside_of_the_folder(tmp_path, name):
    hook, image = SaveFusedHook('ivf', str(tmp_path / 'a' / 'b')), torch.rand(1, 8, 8)
    hook.sheet_batches = ()
    batch = {'source_a': image[None], 'source_b': image[None], 'path_a': ['none'], 'path_b': ['none']}
    with pytest.raises(DataError, match='outside'):
        hook.after_test_iter(None, 0, batch, [dict(name=name, fused=image)])
    assert not list(tmp_path.iterdir())
