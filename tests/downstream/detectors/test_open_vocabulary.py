"""Phrases find classes: boxes of the captioner, in pixels and with numbers of the table."""

import numpy as np
import pytest
from language.captioners.conftest import dino, owl  # noqa: F401

from vlfusion.downstream.classes import ClassTable
from vlfusion.downstream.detectors.open_vocabulary import OpenVocabularyBoxes
from vlfusion.errors import ConfigError
from vlfusion.language.captioners.detector import OpenVocabularyDetector

pytest.importorskip('transformers')
pytest.importorskip('torchvision')
TABLE = ClassTable(('Car', 'Person', 'Tree'))


@pytest.mark.parametrize('model', ['owl', 'dino'])
def test_boxes_are_those_of_the_captioner_in_pixels(model, request, odd_pictures):
    model = request.getfixturevalue(model)
    settings = dict(threshold=0, overlap=1, top_k=40)
    found = OpenVocabularyBoxes(TABLE, model, **settings).detect(odd_pictures)
    observed = OpenVocabularyDetector(model, ['car', 'person', 'tree'], **settings).observe(
        [(picture[..., ::-1].copy(),) for picture in odd_pictures], ('',))
    assert any(observed)
    for boxes, observations, picture in zip(found, observed, odd_pictures, strict=True):
        height, width = picture.shape[:2]
        expected = np.array([seen.box for seen in observations]).reshape(-1, 4) * [width, height, width, height]
        np.testing.assert_allclose(boxes.corners, expected, atol=1e-3)
        np.testing.assert_allclose(boxes.scores, [seen.score for seen in observations], atol=1e-5)
        for number, seen in zip(boxes.classes, observations, strict=True):
            assert TABLE.names[number].lower() in seen.text or seen.text not in ('car', 'person', 'tree')


def test_phrases_stand_for_classes(owl, odd_pictures):  # noqa: F811
    detector = OpenVocabularyBoxes(TABLE, owl, names={'person': 'Person', 'a photo': 'Person', 'tree': 'Tree'},
                                   threshold=0)
    assert set(np.concatenate([boxes.classes for boxes in detector.detect(odd_pictures)])) <= {1, 2}
    assert [detector._class(answer) for answer in ('person', 'A photo', 'tree', 'photo photo', 'trees')] == [
        1, 1, 2, 1, 2]
    assert not detector.trainable


def test_a_name_that_the_table_lacks_is_refused(owl):  # noqa: F811
    with pytest.raises(ConfigError, match='Car, Person, Tree'):
        OpenVocabularyBoxes(TABLE, owl, names={'person': 'Human'})
