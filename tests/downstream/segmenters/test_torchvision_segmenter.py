"""Segmenters of torchvision give masks in the picture's own size, learn them, and begin with torchvision's weights."""

import numpy as np
import pytest
import torch

from vlfusion.downstream.classes import ClassTable
from vlfusion.downstream.interfaces import IGNORED
from vlfusion.downstream.segmenters.torchvision_segmenter import TorchvisionSegmenter
from vlfusion.errors import ConfigError

torchvision = pytest.importorskip('torchvision')
TABLE = ClassTable(('nothing', 'Car', 'Person'), void=0)
LRASPP = 'lraspp_mobilenet_v3_large'


@pytest.mark.parametrize('model', [LRASPP, 'deeplabv3_mobilenet_v3_large', pytest.param(
    'fcn_resnet50', marks=pytest.mark.slow)])
def test_a_segmenter_learns_and_answers_in_the_size_of_each_picture(model, odd_pictures):
    segmenter = TorchvisionSegmenter(TABLE, model, size=(64, 96))
    labels = torch.zeros(2, 64, 96, dtype=torch.long)
    labels[:, :20], labels[1, 30:] = 2, IGNORED
    for these in (labels, torch.full_like(labels, IGNORED)):
        loss = sum(segmenter.losses(torch.rand(2, 3, 64, 96), these).values())
        loss.backward()
        assert loss.isfinite()
    masks = segmenter.segment(odd_pictures)
    assert [mask.shape for mask in masks] == [(53, 75), (53, 75), (40, 31)]
    assert all(mask.dtype == np.uint8 and set(np.unique(mask)) <= {0, 1, 2} for mask in masks)


def test_one_picture_in_a_batch_is_refused():
    with pytest.raises(ConfigError, match='batch_size'):
        TorchvisionSegmenter(TABLE, LRASPP).losses(torch.rand(1, 3, 64, 64), torch.zeros(1, 64, 64, dtype=torch.long))


def test_weights_of_torchvision_with_their_classes_and_with_a_new_head(tmp_path, monkeypatch, odd_pictures):
    source = torchvision.models.get_model_weights(LRASPP)['COCO_WITH_VOC_LABELS_V1']
    torch.manual_seed(1)
    network = torchvision.models.get_model(LRASPP, weights=None, weights_backbone=None).eval()
    place = tmp_path / 'hub/checkpoints' / source.url.rpartition('/')[2]
    place.parent.mkdir(parents=True)
    torch.save(network.state_dict(), place)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    segmenter = TorchvisionSegmenter(TABLE, LRASPP, weights='COCO_WITH_VOC_LABELS_V1')
    picture = torch.from_numpy(odd_pictures[0]).permute(2, 0, 1)
    with torch.inference_mode():  # torchvision's own call, in the picture's size
        own = network(source.transforms(resize_size=None)(picture)[None])['out'][0].argmax(0).numpy()
    places = np.zeros(21, np.int64)
    places[[source.meta['categories'].index(name) for name in ('car', 'person')]] = 1, 2
    assert (segmenter.segment(odd_pictures[:1])[0] == places[own]).mean() > 0.999
    assert not segmenter.trainable
    with pytest.raises(ConfigError, match='new_head'):
        segmenter.losses(torch.rand(2, 3, 64, 64), torch.zeros(2, 64, 64, dtype=torch.long))
    body = TorchvisionSegmenter(TABLE, LRASPP, weights='COCO_WITH_VOC_LABELS_V1', new_head=True).network.state_dict()
    changed = {name for name, value in network.state_dict().items() if body[name].shape != value.shape
               or not torch.equal(body[name], value)}
    assert changed and all('classifier' in name for name in changed)


@pytest.mark.parametrize('settings, message', [
    (dict(model='lraspp_mobilenet_v3'), 'Did you mean'), (dict(model=LRASPP, weights='COCO'), 'no weights'),
    (dict(model=LRASPP, size=[3]), 'size'), (dict(model=LRASPP, batch_size=0), 'batch_size')])
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        TorchvisionSegmenter(TABLE, **settings)
