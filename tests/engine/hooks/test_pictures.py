"""Contact sheets show images of any shape beside their results."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from vlfusion.data import PairDataset
from vlfusion.engine.hooks.pictures import SaveFusedHook, contact_sheet
from vlfusion.errors import DataError, UnknownNameError
from vlfusion.imaging.chroma import mean_chroma

GREY, DEEP = np.full((40, 60), 200, np.uint8), np.full((40, 60), 40 * 257, np.uint16)
RED = np.zeros((40, 60, 3), np.uint8)
RED[..., 2] = 255


def test_contact_sheet_shows_every_image_beside_its_result():
    rows = [('one', [GREY, DEEP, RED]), ('two', [RED, GREY, DEEP])]
    sheet = contact_sheet(rows, ('a', 'b', 'fused'), height=80)
    assert sheet.shape == (20 + 2 * (20 + 84), 3 * 124, 3)
    assert (sheet[80, [60, 184, 308]] == [[200] * 3, [40] * 3, [0, 0, 255]]).all()
    assert (sheet[184, 60] == [0, 0, 255]).all()


def dark(sheet):
    """The columns of pixels that have letters."""
    return np.flatnonzero((sheet[..., 1] < 100).any(0))


def test_titles_stand_over_their_pictures_whatever_their_sizes():
    wide, narrow = np.full((10, 30), 200, np.uint8), np.full((10, 10), 200, np.uint8)
    rows = [('', [wide, wide, wide]), ('', [narrow, narrow, narrow])]
    sheet = contact_sheet(rows, ('I', 'I', 'I'), height=40)
    starts = [0, 124, 248]
    assert sheet.shape[1] == 3 * 124
    letters = dark(sheet[:20])
    assert all((abs(letters - start) < 10).any() for start in starts) and len(letters) < 20
    for row in (60, 140):
        for start in starts:
            assert sheet[row, start + 5, 0] == 200
    assert sheet[140, 60, 0] == 255, 'the narrow ones stand at the left of their column'


def test_images_of_any_shape_share_a_sheet():
    wide, narrow = np.zeros((10, 30), np.uint8), np.zeros((10, 10), np.uint8)
    assert contact_sheet([('wide', [wide]), ('narrow', [narrow])], ('a',), height=20).shape[1] == 64
    assert contact_sheet([('', [np.zeros((1, 900), np.uint8)])], ('a',), height=20).shape[1] == 84
    assert contact_sheet([('', [np.zeros((900, 1), np.uint8)])], ('a',), height=20).shape[1] == 5


def test_words_stand_below_their_pair_and_are_wrapped():
    rows = [('one', [GREY, RED]), ('two', [RED, GREY])]
    plain = contact_sheet(rows, ('a', 'b'), height=80)
    text = 'A long sentence about a wall, a lamp and grass. ' * 4
    sheet = contact_sheet(rows, ('a', 'b'), height=80, words={'one': [text]}, heading='Toy')
    added = len(sheet) - len(plain)
    assert added > 100 and sheet.shape[1] == plain.shape[1]
    words = sheet[20 + 20 + 20 + 84:][:added - 20]
    assert len(dark(words)) > 0.9 * (words.shape[1] - 20) and (words[:, -4:] == 255).all(), 'nothing is cut off'
    assert (sheet[-84:] == plain[-84:]).all()


@pytest.mark.parametrize('name', ['[1] {name} 100%', '-dash', "a'quote"])
def test_names_are_written_as_they_are(name):
    assert len(dark(contact_sheet([(name, [GREY])], ('',), height=80)[20:40])) > 20


def test_letters_without_a_font_are_one_line():
    notes = []
    contact_sheet([('\ue8f0\ue8f1', [GREY]), ('\ue8f2', [GREY])], ('\ue8f3',), height=80, note=notes.append)
    [line] = notes
    assert 'No installed font has \ue8f0\ue8f1\ue8f2\ue8f3' in line and '\n' not in line


@pytest.mark.parametrize('name', ['../../x', '/tmp/x'])
def test_no_picture_is_written_outside_of_the_folder(tmp_path, name):
    hook, image = SaveFusedHook('ivf', str(tmp_path / 'a' / 'b')), torch.rand(1, 8, 8)
    hook.sheet_batches = ()
    batch = {'source_a': image[None], 'source_b': image[None], 'path_a': ['none'], 'path_b': ['none']}
    with pytest.raises(DataError, match='outside'):
        hook.after_test_iter(None, 0, batch, [dict(name=name, fused=image)])
    assert not list(tmp_path.iterdir())


def test_sources_are_shown_as_the_data_set_reads_them(tmp_path):
    for side in ('ir', 'vi'):
        (tmp_path / side).mkdir()
        cv2.imwrite(str(tmp_path / f'{side}/a.png'), np.linspace(7000, 8500, 64).reshape(8, 8).astype(np.uint16))
    dataset = PairDataset('ivf', tmp_path, 'ir', 'vi', range_a='minmax', range_b='0,65535',
                          pipeline=[dict(type='LoadPair'), dict(type='PackPair')])
    hook, loader = SaveFusedHook('ivf', str(tmp_path / 'out')), DataLoader(dataset)
    runner = SimpleNamespace(test_dataloader=loader, rank=0)
    hook.before_test_epoch(runner)
    for index, batch in enumerate(loader):
        hook.after_test_iter(runner, index, batch, [dict(name='a', fused=batch['source_a'][0])])
    [(_, (source_a, source_b, fused))] = hook.rows
    assert (source_a.min(), source_a.max(), source_b.max()) == (0, 65535, 8500)
    assert np.abs(fused - source_a / 257).max() <= 1


def test_pictures_are_coloured_by_the_task_or_the_rule_that_is_given(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), RED)
    cv2.imwrite(str(tmp_path / 'b.png'), GREY)
    image = torch.rand(1, 40, 60)
    batch = dict(source_a=image[None], source_b=image[None], path_a=[str(tmp_path / 'a.png')],
                 path_b=[str(tmp_path / 'b.png')])
    dimensions = {}
    for chroma in (None, 'b', 'weighted'):
        hook = SaveFusedHook('ivf', str(tmp_path / 'out'), protocol='plain', chroma=chroma)
        hook.sheet_batches, hook.readings = (), {}
        hook.after_test_iter(None, 0, batch, [dict(name='x', fused=image)])
        dimensions[chroma] = cv2.imread(str(tmp_path / 'out/colour/x.png'), cv2.IMREAD_UNCHANGED).ndim
        grey = cv2.imread(str(tmp_path / 'out/grey/x.png'), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(grey, (image[0] * 255).round().byte())
    assert dimensions == {None: 2, 'b': 2, 'weighted': 3}, 'only source A is in colour'
    with pytest.raises(UnknownNameError, match='weighted'):
        SaveFusedHook('ivf', str(tmp_path / 'out'), chroma='wieghted')


def test_a_picture_gets_the_colour_strength_of_its_network(tmp_path):
    cv2.imwrite(str(tmp_path / 'b.png'), RED // 4 + 96)
    image = torch.full((1, 40, 60), 0.5)
    batch = dict(source_a=image[None], source_b=image[None], path_a=['none'], path_b=[str(tmp_path / 'b.png')])
    found = {}
    for strength in (None, 0.5, 1.5):
        hook = SaveFusedHook('ivf', str(tmp_path / 'out'), protocol='plain')
        hook.sheet_batches, hook.readings = (), {}
        given = {} if strength is None else dict(colour_strength=strength)
        hook.after_test_iter(None, 0, batch, [dict(name='x', fused=image, **given)])
        found[strength] = mean_chroma(cv2.imread(str(tmp_path / 'out/colour/x.png')))
    assert found[0.5] == pytest.approx(found[None] / 2, rel=0.05)
    assert found[1.5] == pytest.approx(found[None] * 1.5, rel=0.05)


def test_sixteen_bits_are_shown_as_the_nearest_of_eight():
    sheet = contact_sheet([('', [np.full((40, 60), 129, np.uint16)])], ('',), height=80)
    assert (sheet[80, 60] == 1).all()
