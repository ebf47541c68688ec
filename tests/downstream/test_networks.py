"""Classes of networks find their place in the table, and predictions their form."""

import numpy as np
import pytest
import torch

from vlfusion.console.notes import new_run
from vlfusion.downstream.boxes import Boxes
from vlfusion.downstream.classes import ClassTable
from vlfusion.downstream.networks import (
    check_size,
    counted,
    in_equal_batches,
    place_classes,
    place_masks,
    predicted,
)
from vlfusion.errors import ConfigError

COCO = {1: 'person', 2: 'bicycle', 3: 'car', 8: 'truck'}
TABLE = ClassTable(('People', 'Car', 'Truck'))


def test_equal_names_in_any_case_are_the_default(caplog):
    new_run()
    assert place_classes('Net', COCO, TABLE) == {3: 1, 8: 2}
    assert 'Net has no class for People, so it never finds one' in caplog.text


def test_names_may_map_several_classes_to_one():
    assert place_classes('Net', COCO, TABLE, {'Person': 'people', 'car': 'Car', 'truck': 'Car'}) == {1: 0, 3: 1, 8: 1}


@pytest.mark.parametrize('names, message', [
    ({'pedestrian': 'People'}, "'pedestrian' is no class"), ({'person': 'Human'}, "'human' is no class"),
    ({}, 'No class has the same name')])
def test_a_mapping_to_nothing_lists_both_vocabularies(names, message):
    with pytest.raises(ConfigError, match=message) as raised:
        place_classes('Net', COCO, TABLE, names)
    assert 'person, bicycle, car, truck' in str(raised.value) and 'People, Car, Truck' in str(raised.value)


def test_pixels_of_other_classes_become_void():
    own = {0: 'sky', 1: 'car', 2: 'person'}
    assert place_masks('Net', own, ClassTable(('void', 'Person', 'Car'), void=0)).tolist() == [0, 2, 1]
    assert place_masks('Net', own, ClassTable(('car', 'person', 'sky'))).tolist() == [2, 0, 1]
    for count, dtype in ((255, np.uint8), (256, np.uint16)):
        table = ClassTable(('car', 'person', 'sky', *map(str, range(count - 3))))
        with_gap = place_masks('Net', own | {4: 'car'}, table)  # the number 3 is free
        assert with_gap.tolist() == [2, 0, 1, count, 0] and with_gap.dtype == dtype == table.dtype
    with pytest.raises(ConfigError, match='no void class: sky'):
        place_masks('Net', own, ClassTable(('Person', 'Car')))


def test_predictions_are_clipped_and_sorted_and_only_of_the_table():
    thing = dict(boxes=torch.tensor([[-5., 2, 30, 90], [1, 1, 4, 4], [9, 9, 9, 12], [2, 3, 5, 7], [60, 1, 70, 9]]),
                 scores=torch.tensor([0.5, 0.9, 0.99, 0.7, 0.8]), labels=torch.tensor([1, 7, 1, 3, 1]))
    boxes = predicted(thing, {1: 0, 3: 1}, (40, 50), top_k=5)
    assert boxes.corners.tolist() == [[2, 3, 5, 7], [0, 2, 30, 40]]
    assert boxes.classes.tolist() == [1, 0] and boxes.scores.tolist() == pytest.approx([0.7, 0.5])
    assert boxes.corners.dtype == boxes.scores.dtype == np.float64 and boxes.classes.dtype == np.int64
    assert predicted(thing, {1: 0, 3: 1}, (40, 50), top_k=1).corners.tolist() == [[2, 3, 5, 7]]
    assert predicted({key: value[:0] for key, value in thing.items()}, {1: 0}, (40, 50), 5).corners.shape == (0, 4)


def test_ignored_boxes_are_not_learned():
    labels = Boxes(np.array([[0., 0, 4, 4], [1, 1, 2, 2]]), np.array([2, 0]), ignored=np.array([True, False]))
    corners, classes = counted(labels)
    assert corners.tolist() == [[1, 1, 2, 2]] and classes.tolist() == [0] and classes.dtype == torch.int64


def test_batches_hold_pictures_of_one_size_in_order():
    pictures = [np.zeros((size, 4, 3), np.uint8) for size in (2, 2, 2, 3, 2)]
    batches = []

    def work(batch):
        batches.append(len(batch))
        return [len(picture) for picture in batch]

    assert in_equal_batches(work, pictures, 2) == [2, 2, 2, 3, 2] and batches == [2, 1, 1, 1]


@pytest.mark.parametrize('size', [(0, 3), (3,), (1, 2, 3)])
def test_a_size_is_two_whole_numbers(size):
    assert check_size('Net', None) is None and check_size('Net', [4, 5]) == (4, 5)
    with pytest.raises(ConfigError, match='size of Net'):
        check_size('Net', size)
