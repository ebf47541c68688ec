"""Detectors of torchvision give boxes in pixels, learn them, and begin with torchvision's weights."""

import numpy as np
import pytest
import torch

from vlfusion.downstream.boxes import Boxes
from vlfusion.downstream.classes import ClassTable
from vlfusion.downstream.detectors.torchvision_detector import TorchvisionDetector
from vlfusion.errors import ConfigError

torchvision = pytest.importorskip('torchvision')
pytest.importorskip('timm')
TABLE = ClassTable(('Warm', 'Painted'))
FCOS = dict(model='fcos', backbone='test_resnet', levels=(1, 2, 3), channels=32, convs=1)
SSD = dict(model='ssdlite320_mobilenet_v3_large')
SLOW = [dict(model=model) for model in (
    'fasterrcnn_mobilenet_v3_large_320_fpn', 'fcos_resnet50_fpn', 'retinanet_resnet50_fpn')]
SLOW += [dict(model='ssd300_vgg16', size=None)]  # it sees 300 x 300 pixels; 64 x 96 are too few for its layers
MODELS = pytest.mark.parametrize('settings', [FCOS, SSD, *(pytest.param(each, marks=pytest.mark.slow)
                                                           for each in SLOW)], ids=lambda each: each['model'])


def build(settings, **more):
    torch.manual_seed(0)
    return TorchvisionDetector(TABLE, **(dict(size=(64, 96), threshold=0) | settings | more))


@MODELS
def test_a_detector_learns_and_finds_within_each_picture(settings, odd_pictures, one_box, no_boxes):
    detector = build(settings)
    for labels in ([no_boxes, no_boxes], [one_box, no_boxes]):  # SSD learns nothing from pictures without boxes
        losses = detector.losses(torch.rand(2, 3, 64, 96), labels)
        loss = sum(losses.values())
        loss.backward()
        assert loss.isfinite() and all('loss' in name for name in losses)
    assert sum(parameter.grad.abs().sum() for parameter in detector.parameters() if parameter.grad is not None) > 0
    for boxes, picture in zip(detector.detect(odd_pictures), odd_pictures, strict=True):
        assert (np.diff(boxes.scores) <= 0).all() and set(boxes.classes.tolist()) <= {0, 1}
        assert (boxes.corners >= 0).all() and (boxes.corners[:, 2:] <= picture.shape[1::-1]).all()


def test_the_network_sees_the_size_of_the_settings(odd_pictures):
    detector, shapes = build(SSD), []
    detector.network.backbone.register_forward_pre_hook(lambda network, inputs: shapes.append(inputs[0].shape[2:]))
    detector.detect(odd_pictures)
    assert {tuple(shape) for shape in shapes} == {(64, 96)}


def test_a_learned_box_comes_back_in_the_pixels_of_an_odd_picture(odd_pictures):
    """The network sees 64 x 96 pixels, and the picture has 53 x 75."""
    detector, picture = build(FCOS), odd_pictures[0]
    picture[8:21, 6:36] = 250
    truth = Boxes(np.array([[6., 8, 36, 21]]), np.array([1]))
    optimizer = torch.optim.Adam(detector.parameters(), lr=0.003)
    seen = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    for _ in range(40):
        optimizer.zero_grad()
        sum(detector.losses(seen.repeat(2, 1, 1, 1), [truth, truth]).values()).backward()
        optimizer.step()
    (boxes,) = detector.detect([picture])
    assert boxes.classes[0] == 1 and boxes.scores[0] > 0.3
    np.testing.assert_allclose(boxes.corners[0], truth.corners[0], atol=2)


def test_weights_of_torchvision_with_their_classes_and_with_a_new_head(tmp_path, monkeypatch, odd_pictures, one_box):
    source = torchvision.models.get_model_weights(SSD['model'])['COCO_V1']
    torch.manual_seed(1)
    state = torchvision.models.get_model(SSD['model'], weights=None, weights_backbone=None).state_dict()
    place = tmp_path / 'hub/checkpoints' / source.url.rpartition('/')[2]
    place.parent.mkdir(parents=True)
    torch.save(state, place)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    people = ClassTable(('People', 'Car'))
    detector = TorchvisionDetector(people, SSD['model'], weights='COCO_V1', names={'person': 'People', 'car': 'Car'})
    assert detector.places == {1: 0, 3: 1}
    own = detector.network.state_dict()
    assert own.keys() == state.keys() and all(torch.equal(own[name], state[name]) for name in state)
    assert set(detector.detect(odd_pictures)[0].classes.tolist()) <= {0, 1}
    own = build(SSD, weights='COCO_V1', new_head=True).network.state_dict()
    changed = {name for name in state if own[name].shape != state[name].shape}
    assert changed and all('classification_head' in name for name in changed)
    assert all(torch.equal(own[name], state[name]) for name in state if name not in changed)
    with pytest.raises(ConfigError, match='People, Bicycle-like'):
        TorchvisionDetector(ClassTable(('People', 'Bicycle-like')), SSD['model'], weights='COCO_V1')


@pytest.mark.parametrize('settings, message', [
    (dict(model='ssdlite320_mobilenet_v3'), 'Did you mean'), (dict(model='maskrcnn_resnet50_fpn'), 'no model'),
    (dict(SSD, weights='COCO'), 'no weights'), (dict(SSD, backbone='resnet18'), 'backbone of its own'),
    (dict(model='fcos'), 'on a backbone of timm'), (dict(FCOS, backbone='nothing'), 'cannot be built'),
    (dict(SSD, size=(0, 4)), 'size'), (dict(SSD, threshold=-1), 'threshold')])
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        TorchvisionDetector(TABLE, **settings)


def test_weights_that_cannot_be_loaded_name_their_place(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))

    def unreachable(*args, **kwargs):
        raise OSError('no network')

    monkeypatch.setattr('torch.hub.download_url_to_file', unreachable)
    with pytest.raises(ConfigError, match=r'(?s)no network.*TORCH_HOME'):
        build(SSD, weights='COCO_V1', new_head=True)
