"""Text labels of YOLO: values, and each kind of wrong line."""

import numpy as np
import pytest

from vlfusion.downstream.labels.faults import LabelError
from vlfusion.downstream.labels.yolo import YOLOLabels, read_yolo
from vlfusion.errors import ConfigError, DataError

#: Height and width.
SIZE = (50, 200)


def labels_of(text, root, **options):
    (root / 'labels').mkdir()
    (root / 'labels/a.txt').write_text(text)
    return YOLOLabels('labels', ['person', 'car'], root, **options)


def test_boxes_are_parts_of_width_and_height(tmp_path):
    boxes = labels_of('\ufeff0 0.5 0.5 0.25 0.4\n\n1.0 0.1 0.2 0.1 0.2\n', tmp_path).read('a', SIZE)
    assert np.allclose(boxes.corners, [[75, 15, 125, 35], [10, 5, 30, 15]]) and boxes.classes.tolist() == [0, 1]
    assert boxes.corners.dtype == np.float64 and boxes.scores is boxes.ignored is boxes.areas is None


def test_an_empty_file_is_an_image_without_things(tmp_path):
    boxes = labels_of('\n', tmp_path).read('a', SIZE)
    assert boxes.corners.shape == (0, 4) and len(boxes) == 0


def test_numbers_of_another_table_are_translated(tmp_path):
    labels = labels_of('2 0.5 0.5 0.1 0.1', tmp_path, ids=[0, 2])
    assert labels.read('a', SIZE).classes.tolist() == [1]
    with pytest.raises(ConfigError, match=r'ids=\[0\] does not fit the 2 classes person, car'):
        YOLOLabels('labels', ['person', 'car'], tmp_path, ids=[0])


def test_rounding_at_the_border_is_cut_and_more_is_refused(tmp_path):
    labels = labels_of('0 0.9005 0.5 0.2 1.000001', tmp_path)
    assert labels.read('a', SIZE).corners.tolist() == [[pytest.approx(160.1), 0, 200, 50]]
    (tmp_path / 'labels/a.txt').write_text('0 0.5 0.5 0.5 0.5\n1 0.91 0.5 0.2 0.5\n')
    with pytest.raises(LabelError, match=r'labels/a.txt:2: .* reaches 2 pixels out of the image, which has 200x50'):
        labels.read('a', SIZE)


@pytest.mark.parametrize(('line', 'message'), [
    ('2 .5 .5 .1 .1', 'the class is 2; expected one of 0, 1'), ('0.5 .5 .5 .1 .1', 'the class is 0.5'),
    ('0 .5 .5 -.1 .1', 'size -0.1 x 0.1'), ('0 .5 .5 .1 0', 'size 0.1 x 0;'), ('0 nan .5 .1 .1', 'not all finite'),
    ('0 .5 .5 inf .1', 'not all finite'), ('0 .5 .5 .1', 'holds 4 values'), ('0 .5 .5 .1 x', 'not all numbers'),
    ('0 .5 .5 .1 .1 .9', 'holds 6 values(.*)confidence of a prediction'),
    ('0 .1 .1 .2 .1 .2 .2', 'holds 7 values(.*)outlines'), ('0 100 25 20 10', 'may be pixels'),
    ('0 1.2 .5 .1 .1', 'reaches 50 pixels out')])
def test_wrong_lines_are_named(line, message, tmp_path):
    with pytest.raises(LabelError, match=f'labels/a.txt:1: (.*){message}'):
        labels_of(line, tmp_path).read('a', SIZE)


def test_all_wrong_lines_are_listed_with_their_kinds(tmp_path):
    with pytest.raises(LabelError, match='3 faults') as caught:
        labels_of('7 .5 .5 .1 .1\n0 .5 .5 .1 .1\n0 .5 .5 0 .1\n0 1 .5 .5 .1', tmp_path).read('a', SIZE)
    assert [(fault.kind, fault.place[-2:]) for fault in caught.value.faults] == [
        ('unknown class', ':1'), ('not readable', ':3'), ('box outside', ':4')]


def test_a_missing_file_is_an_error_or_an_image_without_things(tmp_path):
    labels = labels_of('', tmp_path)
    assert labels.names() == ['a'] and labels.has('a') and not labels.has('A')
    with pytest.raises(LabelError, match=r'A: has no label \(\*.txt\) in labels; did you mean .*labels/a.txt'):
        labels.read('A', SIZE)
    labels = YOLOLabels('labels', ['person'], tmp_path, missing='empty')
    assert labels.has('A') and len(labels.read('A', SIZE)) == 0
    with pytest.raises(DataError, match=r'There are no labels \(\*.txt\) in .*; .* holds labels/'):
        YOLOLabels('lables', ['person'], tmp_path, missing='empty')


def test_predictions_have_scores(tmp_path):
    (tmp_path / 'a.txt').write_text('0 .5 .5 .1 .1 .25\n1 .5 .5 .1 .1 1\n')
    assert read_yolo(tmp_path / 'a.txt', SIZE, [0, 1], scores=True).scores.tolist() == [0.25, 1]
    with pytest.raises(LabelError, match='the confidence is 25'):
        (tmp_path / 'b.txt').write_text('0 .5 .5 .1 .1 25')
        read_yolo(tmp_path / 'b.txt', SIZE, [0, 1], scores=True)
