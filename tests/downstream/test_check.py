"""The check of labels names every fault of a set, by its kind, file and line."""

import numpy as np
import pytest
from PIL import Image

from vlfusion.config import load_config
from vlfusion.downstream.boxes import Boxes
from vlfusion.downstream.check import check_labels, match_boxes
from vlfusion.downstream.classes import get_classes
from vlfusion.downstream.sets import KEYS
from vlfusion.testing.labelled import BOXES, LAYOUTS, SIZE, draw_labelled, write_voc, write_yolo
from vlfusion.testing.toys import draw_pairs


def drawn(name, root):
    draw_labelled(name, root)
    return load_config(f'configs/downstream/{name}.py', {'data_root': str(root)}, known=KEYS)


def faults(config):
    return [(fault.kind, fault.place.rpartition('/')[2], fault.words) for fault in check_labels(config).faults]


@pytest.mark.parametrize('name', LAYOUTS)
def test_published_layouts_have_no_faults(name, tmp_path):
    result = check_labels(drawn(name, tmp_path))
    assert result.faults == result.notes == [] and sum(counts.pairs for counts in result.counts.values()) >= 2


def test_contents_are_counted(tmp_path):
    result = check_labels(drawn('msrs_detection', tmp_path))
    counts = result.counts['test']
    assert (counts.pairs, counts.empty, counts.things['car'], counts.images['person']) == (2, 1, 1, 1)
    assert result.facts()['splits']['test']['classes']['person'] == dict(images=1, boxes=1)
    pixels = check_labels(drawn('fmb', tmp_path / 'fmb')).counts['train'].things
    assert sum(pixels.values()) == 2 * SIZE[0] * SIZE[1] and pixels['Pole'] > 0


def test_every_fault_of_boxes_is_named(tmp_path):
    config = drawn('m3fd', tmp_path)
    config.compared_labels = None
    (tmp_path / 'labels/00000.txt').unlink()
    (tmp_path / 'labels/00001.txt').write_text('9 .5 .5 .1 .1\n0 .99 .5 .1 .1\n0 x\n')
    write_yolo(tmp_path / 'labels/00002.txt', [BOXES[0], BOXES[0]])
    write_yolo(tmp_path / 'labels/00009.txt', BOXES)
    draw_pairs(tmp_path, ['00002'], source_b='unused', size=(20, 20))
    assert faults(config) == [
        ('unknown class', '00001.txt:1', 'the class is 9; expected one of 0, 1, 2, 3, 4, 5'),
        ('not readable', '00001.txt:3', 'holds 2 values; expected class cx cy width height'),
        ('box outside', '00001.txt:2', 'the box from (60.16, 21.6) to (66.56, 26.4) reaches 2.56 pixels out of the '
                                       'image, which has 64x48 (width x height)'),
        ('size', '00002', f'{tmp_path}/ir/00002.png is 20x20, but {tmp_path}/vi/00002.png is 64x48 (width x height)'),
        ('no label', '00000', 'the pair of test has no label'),
        ('no pair', '00009.txt', 'there are no images 00009 in any split')]
    draw_pairs(tmp_path, ['00002'], size=SIZE)
    assert ('twice', '00002.txt', 'the box of People at (8, 12) is there 2 times') in faults(config)


def test_masks_of_another_size_are_named(tmp_path):
    config = drawn('msrs', tmp_path)
    path = tmp_path / 'train/Segmentation_labels/00002N.png'
    Image.open(path).resize((32, 24)).save(path)
    assert faults(config) == [('size', '00002N.png', 'the mask has 32x24, but the image has 64x48 (width x height)')]


def test_images_in_two_splits_are_named(tmp_path):
    config = drawn('mfnet', tmp_path)
    (tmp_path / 'train.txt').write_text('00001D\n00003D\n')
    assert faults(config) == [('overlap', 'train and test', '1 pairs of test are in train too, such as 00003D')]


def test_images_that_no_split_lists_are_no_fault(tmp_path):
    config = drawn('m3fd', tmp_path)
    (tmp_path / 'ImageSets/Main/trainval.txt').write_text('00001\n')
    result = check_labels(config)
    assert result.faults == [] and result.notes == ['1 pairs are in no split, such as 00002.']


def test_numbers_of_the_other_m3fd_table_are_found_by_the_names_in_xml(tmp_path):
    config, names = drawn('m3fd', tmp_path), get_classes('M3FD').names
    boxes = [(3, (1, 1, 9, 9)), (4, (20, 20, 40, 40)), (4, (2, 20, 12, 40)), (0, (30, 2, 50, 12))]
    write_voc(tmp_path / 'Annotation/00001.xml', boxes, names)
    swapped = {3: 4, 4: 3, 0: 0}
    write_yolo(tmp_path / 'labels/00001.txt', [(swapped[number], box) for number, box in reversed(boxes)])
    result = check_labels(config)
    assert result.swaps == {('Lamp', 'Motorcycle'): 2, ('Motorcycle', 'Lamp'): 1}
    [fault] = result.faults
    assert (fault.kind, fault.place) == ('disagreement', str(tmp_path / 'labels/00001.txt'))
    assert 'Annotation/00001.xml, Lamp is Motorcycle (2 boxes), Motorcycle is Lamp (1 boxes)' in fault.words


def test_boxes_that_only_one_label_has_are_counted(tmp_path):
    config = drawn('m3fd', tmp_path)
    write_yolo(tmp_path / 'labels/00000.txt', BOXES[:1])
    (tmp_path / 'Annotation/00001.xml').unlink()
    found = faults(config)
    assert ('disagreement', '00000.xml', f'has 1 boxes that {tmp_path}/labels/00000.txt has not') in found
    assert ('no label', '00001', 'has a label, but none among the compared labels') in found and len(found) == 2


def test_a_set_without_xml_says_that_nothing_was_compared(tmp_path):
    config = drawn('m3fd', tmp_path)
    for path in (tmp_path / 'Annotation').iterdir():
        path.unlink()
    result = check_labels(config)
    assert result.faults == [] and 'not compared with others: There are no labels' in result.notes[0]


def test_boxes_match_by_place_then_class():
    def boxes(*rows):
        return Boxes(np.array([row[1:] for row in rows], float), np.array([row[0] for row in rows]))
    two = boxes((0, 0, 0, 10, 10), (1, 0, 0, 10, 10))
    assert sorted(match_boxes(two, boxes((1, 1, 1, 10, 10), (0, 0, 0, 11, 11)))) == [(0, 1), (1, 0)]
    assert match_boxes(two, boxes((1, 3, 0, 10, 10))) == []
    assert match_boxes(two, Boxes(np.zeros((0, 4)), np.zeros(0, int))) == []
