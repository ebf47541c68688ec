"""Predictions are read as other programs write them, and every fault names its file and line."""

import json
from unicodedata import normalize

import numpy as np
import pytest
from pycocotools.coco import COCO

from vlfusion.downstream.boxes import Boxes
from vlfusion.downstream.classes import ClassTable, get_classes
from vlfusion.downstream.labels import COCOLabels, IndexMasks, YOLOLabels
from vlfusion.downstream.predictions import (
    PredictionRules,
    read_predictions,
    write_coco_results,
    write_masks,
    write_yolo_results,
)
from vlfusion.errors import ConfigError, DataError
from vlfusion.testing.labelled import write_mask, write_yolo

SIZE = (48, 64)
BOX = {'image_id': '00001', 'category_id': 0, 'bbox': [1, 2, 30, 20], 'score': 0.5}


def size(name):
    return SIZE


@pytest.fixture
def labels(tmp_path):
    for name in ('00001', '00002', '00010'):
        write_yolo(tmp_path / f'labels/{name}.txt', [(0, (8, 12, 24, 40))])
    return YOLOLabels('labels', 'M3FD', tmp_path)


def read(labels, place, names=('00001', '00002', '00010'), **rules):
    return read_predictions(place, labels, list(names), size, PredictionRules(**rules))


def boxes(seed, count=4):
    rng = np.random.default_rng(seed)
    start = rng.uniform(-5, 30, (count, 2))
    return Boxes(np.hstack([start, start + rng.uniform(0, 40, (count, 2))]), rng.integers(0, 6, count),
                 rng.random(count))


def test_each_form_returns_what_was_written(labels, tmp_path):
    found = {'00001': boxes(1), '00002': boxes(2, 0), '00010': boxes(3)}
    write_coco_results(tmp_path / 'found.json', found)
    write_yolo_results(tmp_path / 'yolo', found, size)
    for place in (tmp_path / 'found.json', tmp_path / 'yolo'):
        result = read(labels, place, ids=range(6))
        for name, expected in found.items():
            np.testing.assert_allclose(result.images[name].corners, expected.corners, atol=1e-9)
            assert result.images[name].classes.tolist() == expected.classes.tolist()
            assert result.images[name].scores.tolist() == expected.scores.tolist()
    assert read(labels, tmp_path / 'found.json', ids=range(6)).silent == ('00002',)
    assert read(labels, tmp_path / 'yolo').silent == ()


def test_pycocotools_reads_the_results_and_its_labels_give_the_ids(tmp_path):
    """Ids of images and categories in an order of their own."""
    content = dict(images=[dict(id=7, file_name='a/00001.png', height=48, width=64), dict(id=3, file_name='00002.png')],
                   categories=[dict(id=90, name='car'), dict(id=1, name='People')],
                   annotations=[dict(id=1, image_id=7, category_id=90, bbox=[1, 2, 3, 4])])
    (tmp_path / 'labels.json').write_text(json.dumps(content))
    results = [dict(image_id=7, category_id=90, bbox=[1, 2, 30, 20], score=0.5)]
    (tmp_path / 'found.json').write_text(json.dumps(results))
    assert len(COCO(tmp_path / 'labels.json').loadRes(str(tmp_path / 'found.json')).anns) == 1
    labels = COCOLabels('labels.json', 'M3FD', tmp_path)
    result = read(labels, tmp_path / 'found.json', ['00001', '00002'])
    assert result.images['00001'].classes.tolist() == [1]
    assert result.images['00001'].corners.tolist() == [[1, 2, 31, 22]]
    assert result.silent == ('00002',)


def test_ids_of_images(labels, tmp_path):
    """ultralytics writes the number that a name spells, others a file."""
    path = tmp_path / 'found.json'
    path.write_text(json.dumps([BOX | {'image_id': image} for image in (1, 'vi/00002.png', 'vi\\00010.jpg')]))
    assert [len(read(labels, path).images[name]) for name in ('00001', '00002', '00010')] == [1, 1, 1]
    path.write_text(json.dumps([BOX | {'image_id': 3}]))
    with pytest.raises(DataError, match='1 boxes are for the image 3, which has no label'):
        read(labels, path)
    write_yolo(tmp_path / 'labels/1.txt', [])
    path.write_text(json.dumps([BOX | {'image_id': 1}]))
    with pytest.raises(DataError, match='1 may be any of 2 images'):
        read(YOLOLabels('labels', 'M3FD', tmp_path), path)


def test_ids_of_classes(labels, tmp_path):
    """Lists without categories count from 0 or from 1. The file may show which; nothing is guessed."""
    path = tmp_path / 'found.json'

    def numbers(*ids, **rules):
        path.write_text(json.dumps([BOX | {'category_id': id_} for id_ in ids]))
        return read(labels, path, **rules).images['00001'].classes.tolist()
    assert numbers(0, 3) == [0, 3]
    assert numbers(6, 3) == [5, 2]
    with pytest.raises(DataError, match='ids 2, 3, which may count from 0 or from 1.*\n.*--ids 0 1 2 3 4 5'):
        numbers(2, 3)
    assert numbers(2, 3, ids=range(1, 7)) == [1, 2]
    with pytest.raises(DataError, match=r'json\[1\]: the category is 6; expected one of 0, 1, 2, 3, 4, 5'):
        numbers(0, 6)
    assert numbers(0, 6, others='leave out') == [0]
    assert read(labels, path, others='leave out').left_out == 1
    path.write_text(json.dumps(dict(annotations=[BOX | {'category_id': 2}], categories=[dict(id=2, name='truck')])))
    assert read(labels, path).images['00001'].classes.tolist() == [5]
    with pytest.raises(ConfigError, match='does not fit the 6 classes'):
        numbers(0, ids=[0, 2])


@pytest.mark.parametrize(('content', 'words'), [
    ('[', 'is not valid JSON'), ('3', 'holds no list'), ('[3]', r'json\[0\]: is 3, not a dict'),
    (json.dumps([{'image_id': '00001', 'category_id': 0, 'bbox': [1, 2, 3, 4]}]), "lacks 'score'; labels have no"),
    (json.dumps([BOX | {'bbox': [1, 2, 3]}]), r'the box is \[1, 2, 3\]'),
    (json.dumps([BOX | {'bbox': [1, 2, -3, 4]}]), r'the box is \[1, 2, -3, 4\]'),
    (json.dumps([BOX, BOX | {'score': None}]), r'json\[1\]: the score is None'),
    (json.dumps([BOX | {'bbox': [1, 2, 3, 10 ** 400]}]), r'json\[0\]: the box is \[1, 2, 3, 1000'),
    (json.dumps([BOX | {'bbox': [1e308, 2, 1e308, 4]}]), r'json\[0\]: the box .* is not finite'),
    (json.dumps([BOX | {'score': 10 ** 400}]), r'json\[0\]: the score is 1000'),
    (json.dumps([BOX | {'category_id': [1]}]), r'json\[0\]: category_id is \[1\]'),
    (json.dumps([BOX | {'image_id': [0]}]), r'json\[0\]: image_id is \[0\]'),
    (json.dumps([BOX | {'image_id': True}]), r'json\[0\]: image_id is True'),
    (json.dumps(dict(annotations=[], images=5)), 'images is 5, not a list'),
    (json.dumps(dict(annotations=[], images=[dict(id=[1], file_name='a')])), r'images\[0\]: id is \[1\]'),
    (json.dumps(dict(annotations=[], categories=[dict(id={}, name='a')])), r'categories\[0\]: id is {}'),
    (json.dumps(dict(annotations=[], images=[{}])), r'images\[0\] lacks id or file_name')])
def test_faults_of_results_name_the_entry(labels, tmp_path, content, words):
    (tmp_path / 'found.json').write_text(content)
    with pytest.raises(DataError, match=words):
        read(labels, tmp_path / 'found.json')


def test_images_without_a_text_file(labels, tmp_path):
    """ultralytics writes no file for an image without detections."""
    folder = tmp_path / 'yolo'
    write_yolo_results(folder, {'00001': boxes(1)}, size)
    result = read(labels, folder)
    assert result.silent == ('00002', '00010')
    assert len(result.images['00002']) == 0 and result.images['00002'].scores is not None
    with pytest.raises(DataError, match='2 of 3 images have no prediction in .*\n    00002\n    00010'):
        read(labels, folder, missing='error')
    with pytest.raises(DataError, match='1 of 1 images have no prediction'):
        read(labels, folder, ['00002'])
    assert read(labels, folder, ['00001']).unscored == ()


def test_faults_of_text_name_the_line(labels, tmp_path):
    folder = tmp_path / 'yolo'
    folder.mkdir()
    (folder / '00001.txt').write_text('0 .5 .5 .2 .2 .9\n0 .5 .5 .2 .2\n7 .5 .5 .2 .2 .3\n0 30 30 9 9 .5\n')
    with pytest.raises(DataError) as caught:
        read(labels, folder)
    for words in ('00001.txt:2: holds 5 values', '00001.txt:3: the class is 7', '00001.txt:4: centre (30, 30)'):
        assert words in str(caught.value)
    (folder / '00001.txt').write_text('0 .5 .5 .2 .2 .9\n7 .5 .5 .2 .2 .3\n')
    assert read(labels, folder, others='leave out').left_out == 1
    (folder / 'stranger.txt').write_text('')
    with pytest.raises(DataError, match="stranger.txt is for 'stranger', which has no label"):
        read(labels, folder)
    with pytest.raises(DataError, match=r'no predictions \(\*.txt\) in .*nothing; .* holds'):
        read(labels, tmp_path / 'nothing')


def test_predictions_of_other_labelled_images_are_named(labels, tmp_path):
    write_yolo_results(tmp_path / 'yolo', {'00001': boxes(1), '00010': boxes(2)}, size)
    write_coco_results(tmp_path / 'found.json', {'00001': boxes(1), '00010': boxes(2)})
    for place in (tmp_path / 'yolo', tmp_path / 'found.json'):
        result = read(labels, place, ['00001'], ids=range(6))
        assert (result.unscored, [*result.images]) == (('00010',), ['00001'])


def test_masks(tmp_path):
    table = ClassTable(('void', 'car', 'person'), void=0)
    mask = np.arange(12).reshape(3, 4) % 3
    for name in 'ab':
        write_mask(tmp_path / f'labels/{name}.png', mask)
    write_masks(tmp_path / 'masks', {'a': mask, 'b': mask.repeat(2, 0).repeat(2, 1)}, table)
    labels = IndexMasks('labels', table, tmp_path)

    def masks(names='ab', **rules):
        return read_predictions(tmp_path / 'masks', labels, names, labels.size, PredictionRules(**rules)).images
    assert masks()['a'].tolist() == mask.tolist()
    with pytest.raises(DataError, match='b.png: the mask has 8x6, but the image has 4x3'):
        masks()['b']
    assert masks(resize=True)['b'].tolist() == mask.tolist()
    (tmp_path / 'masks/a.png').unlink()
    with pytest.raises(DataError, match='1 of 2 images have no mask in .*\n    a'):
        masks()


def test_masks_keep_the_palette(tmp_path):
    table = get_classes('MSRS')
    mask = np.arange(9).reshape(3, 3)
    write_masks(tmp_path, {'x/a': mask}, table)
    assert IndexMasks('x', table, tmp_path).read('a', (3, 3)).tolist() == mask.tolist()


def test_decomposed_names_keep_their_predictions(tmp_path):
    """Names as macOS stored them find files and results of either spelling."""
    table, mask, (nfc, nfd) = ClassTable(('void', 'car')), np.ones((3, 4), int), (
        normalize(form, 'Kößén') for form in ('NFC', 'NFD'))
    write_mask(tmp_path / f'labels/{nfc}.png', mask)
    write_yolo(tmp_path / f'yolo_labels/{nfc}.txt', [])
    write_masks(tmp_path / 'masks', {nfd: mask}, table)
    masks = IndexMasks('labels', table, tmp_path)
    found = read_predictions(tmp_path / 'masks', masks, [nfd], masks.size)
    assert (found.images[nfd].tolist(), found.unscored) == (mask.tolist(), ())
    boxed = YOLOLabels('yolo_labels', 'M3FD', tmp_path)
    write_yolo_results(tmp_path / 'yolo', {nfc: boxes(1)}, size)
    write_coco_results(tmp_path / 'found.json', {nfc: boxes(1)})
    for place in ('yolo', 'found.json'):
        result = read(boxed, tmp_path / place, [nfd], ids=range(6))
        assert (len(result.images[nfd]), result.silent, result.unscored) == (4, (), ())


def test_a_folder_is_read_to_the_depth_of_the_names(tmp_path):
    table, names = ClassTable(('void', 'car')), ['day/1', 'night/1', 'day[2]/x']
    masks = {name: np.full((3, 4), k % 2) for k, name in enumerate(names)}
    write_masks(tmp_path / 'labels', masks, table)
    write_masks(tmp_path / 'found [1]', masks, table)
    labels = IndexMasks('labels/**', table, tmp_path)
    result = read_predictions(tmp_path / 'found [1]', labels, names, labels.size)
    assert {name: mask.tolist() for name, mask in result.images.items()} == {
        name: mask.tolist() for name, mask in masks.items()}
    assert sorted(result.files) == ['day/1.png', 'day[2]/x.png', 'night/1.png'], 'each is on record'


def test_labels_without_folders_are_those_of_the_pairs(tmp_path):
    """No stem repeats among the labels, so that they are listed without folders; the pairs have them."""
    for name in ('day/0', 'night/1'):
        write_yolo(tmp_path / f'labels/{name}.txt', [])
    labels = YOLOLabels('labels/*', 'M3FD', tmp_path)
    names = ['day/0', 'night/1']
    write_yolo_results(tmp_path / 'yolo', {name: boxes(1) for name in names}, size)
    write_coco_results(tmp_path / 'found.json', {name: boxes(1) for name in names})
    for place in ('yolo', 'found.json'):
        result = read(labels, tmp_path / place, names, ids=range(6))
        assert ([len(result.images[name]) for name in names], result.unscored) == ([4, 4], ())


def test_two_images_are_never_one(labels, tmp_path):
    path = tmp_path / 'found.json'
    path.write_text(json.dumps([BOX | {'image_id': f'{part}/00001.png'} for part in ('day', 'night')]))
    with pytest.raises(DataError, match=r"json\[1\]: the images 'day/00001.png' and 'night/00001.png' would both be"):
        read(labels, path)
    images = [dict(id=k, file_name=f'{part}/00001.png') for k, part in enumerate(('day', 'night'))]
    path.write_text(json.dumps(dict(annotations=[BOX | {'image_id': 1}], images=images)))
    with pytest.raises(DataError, match="the images 'day/00001.png' and 'night/00001.png' would both be '00001'"):
        read(labels, path)
    path.write_text(json.dumps(dict(annotations=[], images=[images[0]] * 2)))
    with pytest.raises(DataError, match=r'images\[1\] has the id 0 of another'):
        read(labels, path)
    path.write_text(json.dumps([BOX | {'image_id': 'night/1.png'}, BOX | {'image_id': 'out/day/1.png'}]))
    write_yolo(tmp_path / 'more/day/1.txt', [])
    with pytest.raises(DataError, match=r"1 boxes are for the image 'night/1.png', which has no label"):
        read(YOLOLabels('more/*', 'M3FD', tmp_path), path, ['day/1'])
