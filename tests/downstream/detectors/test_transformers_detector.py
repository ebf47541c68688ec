"""Detectors of transformers give boxes in pixels, learn them, and load what transformers saves."""

import numpy as np
import pytest
import torch
from downstream.tiny_networks import DETECTORS as TINY
from downstream.tiny_networks import config

from vlfusion.downstream.boxes import Boxes
from vlfusion.downstream.classes import ClassTable
from vlfusion.downstream.detectors.transformers_detector import TransformersDetector
from vlfusion.errors import ConfigError
from vlfusion.registry import DETECTORS

pytest.importorskip('transformers')
TABLE = ClassTable(('Warm', 'Painted'))


def build(name='yolos', **settings):
    torch.manual_seed(0)
    return TransformersDetector(TABLE, config(TINY, name), **(dict(size=(64, 64), threshold=0) | settings))


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
    """A YOLOS with three classes of its own, as transformers saves it."""
    from transformers import YolosConfig, YolosForObjectDetection, YolosImageProcessor
    folder = tmp_path_factory.mktemp('yolos')
    torch.manual_seed(0)
    network = YolosForObjectDetection(YolosConfig(**TINY['yolos'], id2label={0: 'painted', 1: 'dog', 2: 'warm'}))
    for parameter in network.parameters():
        if parameter.ndim > 1:  # far from zero, so that the queries find different classes
            parameter.data.normal_(0, 0.6)
    network.save_pretrained(folder)
    YolosImageProcessor(size={'height': 64, 'width': 64}).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize('name', TINY)
def test_boxes_lie_in_each_picture_the_best_first(name, odd_pictures):
    for boxes, picture in zip(build(name).detect(odd_pictures), odd_pictures, strict=True):
        assert len(boxes) and (np.diff(boxes.scores) <= 0).all() and set(boxes.classes.tolist()) <= {0, 1}
        assert (boxes.corners >= 0).all() and (boxes.corners[:, 2:] <= picture.shape[1::-1]).all()


@pytest.mark.parametrize('name', TINY)
def test_steps_learn_with_and_without_boxes(name, one_box, no_boxes):
    detector = build(name)
    assert detector.trainable
    pictures = torch.rand(2, 3, 64, 64)
    for labels in ([one_box, no_boxes], [no_boxes, no_boxes]):
        detector.zero_grad()
        loss = sum(detector.losses(pictures, labels).values())
        loss.backward()
        assert loss.isfinite() and sum(parameter.grad.abs().sum() for parameter in detector.parameters()
                                       if parameter.grad is not None) > 0


def test_a_learned_box_comes_back_in_the_pixels_of_an_odd_picture(odd_pictures):
    """The network sees 64 x 64 pixels, and the picture has 53 x 75."""
    detector, picture = build(), odd_pictures[0]
    truth = np.array([[6., 8, 36, 21]])
    seen = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    seen = torch.nn.functional.interpolate(seen, (64, 64), mode='bilinear', antialias=True)
    label = Boxes(truth * np.array([64 / 75, 64 / 53] * 2), np.array([1]))
    optimizer = torch.optim.Adam(detector.parameters(), lr=0.01)
    for _ in range(150):
        optimizer.zero_grad()
        sum(detector.losses(seen, [label]).values()).backward()
        optimizer.step()
    (boxes,) = detector.detect([picture])
    assert boxes.classes[0] == 1 and boxes.scores[0] > 0.5
    np.testing.assert_allclose(boxes.corners[0], truth[0], atol=1.5)


def test_the_classes_of_a_checkpoint_find_their_place(saved, odd_pictures):
    detector = TransformersDetector(TABLE, saved, threshold=0)
    assert detector.places == {0: 1, 2: 0} and not detector.trainable
    from transformers import AutoImageProcessor, AutoModelForObjectDetection
    processor, network = AutoImageProcessor.from_pretrained(saved), AutoModelForObjectDetection.from_pretrained(saved)
    with torch.inference_mode():
        (thing,) = processor.post_process_object_detection(
            network(**processor(images=odd_pictures[2], return_tensors='pt')), threshold=0, target_sizes=[(40, 31)])
    kept = [index for index in thing['scores'].argsort(descending=True).tolist() if thing['labels'][index] != 1]
    (boxes,) = detector.detect(odd_pictures[2:])
    assert kept and len(boxes) == len(kept)
    np.testing.assert_allclose(boxes.corners, thing['boxes'][kept].numpy().clip(0, [31, 40, 31, 40]), atol=1e-4)
    with pytest.raises(ConfigError, match='new_head'):
        detector.losses(torch.rand(1, 3, 64, 64), [boxes])
    assert set(TransformersDetector(TABLE, saved, names={'dog': 'Warm'}, threshold=0).detect(odd_pictures)[0].classes
               ) <= {0}


def test_a_new_head_keeps_the_body(saved, one_box):
    detector = TransformersDetector(TABLE, saved, new_head=True)
    from transformers import AutoModelForObjectDetection
    body = AutoModelForObjectDetection.from_pretrained(saved).state_dict()
    own = detector.network.state_dict()
    assert detector.trainable and detector.network.config.id2label == {0: 'Warm', 1: 'Painted'}
    changed = {name for name in body if body[name].shape != own[name].shape or not torch.equal(body[name], own[name])}
    assert changed and all(name.startswith('class_labels_classifier') for name in changed)
    assert sum(detector.losses(torch.rand(1, 3, 64, 64), [one_box]).values()).isfinite()


def test_half_precision(odd_pictures):
    detector = build(dtype='bfloat16')
    assert not detector.trainable and len(detector.detect(odd_pictures)[0])


@pytest.mark.parametrize('settings, message', [
    (dict(model='no/such'), 'no/such'), (dict(model=dict(model_type='nothing')), 'cannot build'),
    (dict(model=dict(depth=3)), 'cannot build'), (dict(threshold=2), 'threshold'), (dict(dtype='int8'), 'dtype'),
    (dict(model=dict(model_type='yolos', trust_remote_code=True)), 'trust_remote_code'),
    (dict(names={'a': 'b'}), 'no class of')])
def test_settings_that_cannot_be_are_refused(saved, settings, message):
    with pytest.raises(ConfigError, match=message):
        DETECTORS.build(dict(type='TransformersDetector', classes=TABLE) | dict(model=saved) | settings)
