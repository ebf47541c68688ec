"""JSON labels of COCO: categories by name, crowds, areas, and wrong files."""

import json

import pytest

from vlfusion.downstream.labels.coco import COCOLabels
from vlfusion.downstream.labels.faults import LabelError
from vlfusion.errors import DataError

SIZE = (48, 64)


def content(**changes):
    return dict(
        images=[dict(id=7, file_name='train/a.png', height=48, width=64), dict(id='x', file_name='train/b.png')],
        categories=[dict(id=3, name='Car'), dict(id=1, name='person'), dict(id=9, name='kite')],
        annotations=[dict(image_id=7, category_id=3, bbox=[4, 8, 16, 32.25], area=100.5),
                     dict(image_id=7, category_id=1, bbox=[0, 0, 64, 48], iscrowd=1)]) | changes


def labels_of(root, value, **options):
    (root / 'boxes.json').write_text(value if isinstance(value, str) else json.dumps(value))
    return COCOLabels('boxes.json', ['person', 'car'], root, **options)


def test_categories_are_matched_by_name(tmp_path):
    labels = labels_of(tmp_path, content())
    boxes = labels.read('a', SIZE)
    assert labels.names() == ['a', 'b'] and labels.has('b') and len(labels.read('b', SIZE)) == 0
    assert boxes.corners.tolist() == [[4, 8, 20, 40.25], [0, 0, 64, 48]] and boxes.classes.tolist() == [1, 0]
    assert boxes.ignored.tolist() == [False, True] and boxes.areas.tolist() == [100.5, 64 * 48]


def test_equal_stems_keep_their_folders(tmp_path):
    images = [dict(id=1, file_name='day/1.png'), dict(id=2, file_name='night/1.png')]
    assert labels_of(tmp_path, content(images=images, annotations=[])).names() == ['day/1', 'night/1']
    images[1]['file_name'] = 'night/2.png'
    labels = labels_of(tmp_path, content(images=images, annotations=[]))
    assert labels.names() == ['1', '2'] and labels.has('night/2') and not labels.has('day/2')


def test_categories_are_translated_or_left_out(tmp_path):
    kite = content(annotations=[dict(image_id=7, category_id=9, bbox=[1, 1, 2, 2])])
    with pytest.raises(LabelError, match=r"boxes.json: the categories 'kite' \(1 boxes\) are not among"):
        labels_of(tmp_path, kite)
    assert labels_of(tmp_path, kite, names=dict(kite='car')).read('a', SIZE).classes.tolist() == [1]
    assert len(labels_of(tmp_path, kite, names=dict(kite=None)).read('a', SIZE)) == 0


@pytest.mark.parametrize(('box', 'message'), [
    ([1, 1, -2, 2], r'annotations\[0\]: .* has the size -2x2'), ([60, 1, 5, 2], 'reaches 1 pixels out of'),
    ([1, 1, 2], r'the box is \[1, 1, 2\]; expected \[x, y, width, height\]'),
    ([1, 1, 10 ** 400, 2], r'annotations\[0\]: the box is \[1, 1, 1000'), ([1, 1, float('nan'), 1], 'is not finite')])
def test_wrong_boxes_are_named(box, message, tmp_path):
    labels = labels_of(tmp_path, content(annotations=[dict(image_id=7, category_id=3, bbox=box)]))
    with pytest.raises(LabelError, match=message):
        labels.read('a', SIZE)


@pytest.mark.parametrize('crowd', ['0', 2, None, 1.5, []])
def test_crowds_are_0_or_1(crowd, tmp_path):
    labels = labels_of(tmp_path, content(annotations=[dict(image_id=7, category_id=3, bbox=[1, 1, 2, 2],
                                                           iscrowd=crowd)]))
    with pytest.raises(LabelError, match=r'boxes.json: a, annotations\[0\]: iscrowd is .*; expected 0 or 1'):
        labels.read('a', SIZE)


def test_the_size_of_another_image_is_refused(tmp_path):
    labels = labels_of(tmp_path, content())
    with pytest.raises(LabelError, match='boxes.json: a: the label is for 64x48, but the image has 64x50'):
        labels.read('a', (50, 64))
    with pytest.raises(LabelError, match='c: is not among the images of'):
        labels.read('c', SIZE)


@pytest.mark.parametrize(('value', 'message'), [
    ('{', 'is not valid JSON'), ([], 'holds a list, as predictions do'), ({}, "the file lacks 'images'"),
    (content(images=3), 'images is not a list'), (content(images=[{}]), r"images\[0\] lacks 'id'"),
    (content(images=[]), '1 ids have boxes but no image, such as 7'),
    (content(images=[dict(id=[7], file_name='a.png')]), r'images\[0\]: id is \[7\]'),
    (content(categories=[dict(id={}, name='Car')]), r'categories\[0\]: id is {}'),
    (content(annotations=[dict(image_id=[7], category_id=3, bbox=[])]), r'annotations\[0\]: image_id is \[7\]'),
    (content(annotations=[dict(image_id=7, category_id=[3], bbox=[])]), r'annotations\[0\]: category_id is \[3\]'),
    (content(annotations=[dict(image_id=7)]), r"annotations\[0\] lacks 'category_id'"),
    (content(images=[dict(id=7, file_name='a.png')] * 2), "1 images share their name with another, such as 'a'")])
def test_wrong_files_are_refused(value, message, tmp_path):
    with pytest.raises(LabelError, match=message):
        labels_of(tmp_path, value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match='There are no labels at .*boxes.json'):
        COCOLabels('boxes.json', ['person'], tmp_path)
