"""XML labels of VOC: pixels and edges, ignored things, sizes, and harmful files."""

import pytest

from vlfusion.downstream.labels.faults import LabelError
from vlfusion.downstream.labels.voc import VOCLabels
from vlfusion.errors import ConfigError
from vlfusion.testing.labelled import BOXES, SIZE, write_voc

NAMES = ('person', 'car')


def labels_of(root, boxes=BOXES, names=NAMES, options=None, **written):
    write_voc(root / 'xml/a.xml', boxes, names, **written)
    return VOCLabels('xml', NAMES, root, **(options or {}))


def test_pixels_count_from_one_and_both_corners_belong_to_the_box(tmp_path):
    labels = labels_of(tmp_path, [(1, (0, 0, 64, 48))])
    text = (tmp_path / 'xml/a.xml').read_text()
    assert '<xmin>1</xmin>' in text and '<xmax>64</xmax>' in text
    boxes = labels.read('a', SIZE)
    assert boxes.corners.tolist() == [[0, 0, 64, 48]] and boxes.classes.tolist() == [1] and boxes.ignored is None


def test_edges_are_taken_as_they_are(tmp_path):
    labels = labels_of(tmp_path, options=dict(corners='edges'), edges=True)
    assert labels.read('a', SIZE).corners.tolist() == [list(box) for _, box in BOXES]


def test_edges_that_are_read_as_pixels_are_told(tmp_path):
    labels = labels_of(tmp_path, [(0, (0, 5, 8, 9))], edges=True)
    with pytest.raises(LabelError, match=r"a.xml:\d+: .* reaches 1 pixels out .*write corners='edges'"):
        labels.read('a', SIZE)


def test_difficult_things_are_ignored(tmp_path):
    assert labels_of(tmp_path, difficult=[1]).read('a', SIZE).ignored.tolist() == [False, True]


def test_names_are_compared_in_any_case_translated_or_left_out(tmp_path):
    labels = labels_of(tmp_path, names=('Person', 'auto'), options=dict(names=dict(auto='car')))
    assert labels.read('a', SIZE).classes.tolist() == [0, 1]
    assert VOCLabels('xml', NAMES, tmp_path, names=dict(auto=None)).read('a', SIZE).classes.tolist() == [0]
    with pytest.raises(LabelError, match=r"a.xml:17: the class is 'auto'; expected one of person, car"):
        VOCLabels('xml', NAMES, tmp_path).read('a', SIZE)
    with pytest.raises(ConfigError, match="'auto' the class 'van', which the table does not have"):
        VOCLabels('xml', NAMES, tmp_path, names=dict(auto='van'))


def test_the_size_of_another_image_is_refused(tmp_path):
    with pytest.raises(LabelError, match=r'a.xml:2: the label is for 64x48, but the image has 64x50 \(width x height'):
        labels_of(tmp_path).read('a', (50, 64))
    text = (tmp_path / 'xml/a.xml').read_text()
    (tmp_path / 'xml/a.xml').write_text(text.replace('>64<', '>0<', 1).replace('>48<', '>0<', 1))
    assert len(VOCLabels('xml', NAMES, tmp_path).read('a', (48, 64))) == 2


@pytest.mark.parametrize(('text', 'message'), [
    ('<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>\n<annotation>&b;</annotation>', 'a.xml:1: has a document'),
    ('<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]>\n<a>&c;</a>', 'harmful entities'),
    ('<annotation>\n<object></annotation>', 'not valid XML: mismatched tag: line 2'), ('', 'not valid XML: no element'),
    ('<annotation><object><name>car</name></object></annotation>', "xmin '', (.*)expected numbers"),
    ('<annotation><object><name>car</name><bndbox><xmin>nan</xmin><ymin>1</ymin><xmax>3</xmax><ymax>3</ymax></bndbox>'
     '</object></annotation>', 'is not finite'),
    ('<annotation><object><name>car</name><bndbox><xmin>9</xmin><ymin>1</ymin><xmax>3</xmax><ymax>3</ymax></bndbox>'
     '</object></annotation>', r'has the size -5x3 \(width x height\)')])
def test_wrong_files_are_named(text, message, tmp_path):
    labels = labels_of(tmp_path)
    (tmp_path / 'xml/a.xml').write_text(text)
    with pytest.raises(LabelError, match=message):
        labels.read('a', SIZE)
