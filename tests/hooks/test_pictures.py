import numpy as np

from vlfusion.hooks.pictures import contact_sheet


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
