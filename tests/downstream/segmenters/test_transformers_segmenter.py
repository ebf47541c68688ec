"""Segmenters of transformers give masks in the picture's own size, learn them, and load what transformers saves."""

import numpy as np
import pytest
import torch
from downstream.tiny_networks import SEGMENTERS as TINY
from downstream.tiny_networks import config

from vlfusion.downstream.classes import ClassTable
from vlfusion.downstream.interfaces import IGNORED
from vlfusion.downstream.segmenters.transformers_segmenter import TransformersSegmenter
from vlfusion.errors import ConfigError

pytest.importorskip('transformers')
TABLE = ClassTable(('nothing', 'Warm', 'Painted'), void=0)


def build(name='segformer', **settings):
    torch.manual_seed(0)
    return TransformersSegmenter(TABLE, config(TINY, name), **(dict(size=(64, 64)) | settings))


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
    """A SegFormer with classes of its own, as transformers saves it."""
    from transformers import SegformerConfig, SegformerForSemanticSegmentation, SegformerImageProcessor
    folder = tmp_path_factory.mktemp('segformer')
    torch.manual_seed(0)
    SegformerForSemanticSegmentation(SegformerConfig(
        **TINY['segformer'], id2label={0: 'sky', 1: 'painted', 2: 'dog', 3: 'warm'})).save_pretrained(folder)
    SegformerImageProcessor(size={'height': 64, 'width': 64}).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize('name', TINY)
def test_masks_have_the_size_of_each_picture(name, odd_pictures):
    masks = build(name).segment(odd_pictures)
    assert [mask.shape for mask in masks] == [(53, 75), (53, 75), (40, 31)]
    assert all(mask.dtype == np.uint8 and set(np.unique(mask)) <= {0, 1, 2} for mask in masks)


@pytest.mark.parametrize('name', TINY)
def test_steps_learn_with_and_without_labelled_pixels(name):
    segmenter, pictures = build(name), torch.rand(2, 3, 64, 64)
    assert segmenter.trainable
    labels = torch.zeros(2, 64, 64, dtype=torch.long)
    labels[:, :20], labels[1, 30:] = 2, IGNORED
    for these in (labels, torch.full_like(labels, IGNORED)):
        loss = sum(segmenter.losses(pictures, these).values())
        loss.backward()
        assert loss.isfinite()


def test_ignored_pixels_have_no_part():
    segmenter, pictures = build(), torch.rand(1, 3, 64, 64)
    labels = torch.zeros(1, 64, 64, dtype=torch.long)
    labels[:, :32] = IGNORED
    segmenter.network.eval()
    segmenter.train = lambda mode=True: segmenter  # without dropout, so that losses can be compared
    with torch.no_grad():
        loss = segmenter.losses(pictures, labels)['loss']
        logits = torch.nn.functional.interpolate(
            segmenter.network(pixel_values=_normalised(pictures)).logits, (64, 64), mode='bilinear')
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(logits[:, :, 32:], labels[:, 32:]))


def _normalised(pictures):
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (pictures - mean.view(3, 1, 1)) / std.view(3, 1, 1)


def test_a_learned_mask_comes_back_in_an_odd_picture():
    segmenter = build(size=(64, 96))
    truth = np.zeros((53, 75), np.int64)
    truth[:20, :50], truth[30:, 60:] = 1, 2
    picture = np.repeat((truth * 110 + 10).astype(np.uint8)[..., None], 3, 2)
    seen = torch.nn.functional.interpolate(torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255, (64, 96),
                                           mode='bilinear', antialias=True)
    label = torch.nn.functional.interpolate(torch.from_numpy(truth)[None, None].float(), (64, 96))[0].long()
    optimizer = torch.optim.Adam(segmenter.parameters(), lr=0.01)
    for _ in range(80):
        optimizer.zero_grad()
        segmenter.losses(seen.repeat(2, 1, 1, 1), label.repeat(2, 1, 1))['loss'].backward()
        optimizer.step()
    (mask,) = segmenter.segment([picture])
    assert mask.shape == truth.shape and (mask == truth).mean() > 0.95


def test_the_classes_of_a_checkpoint_find_their_place(saved, odd_pictures):
    segmenter = TransformersSegmenter(TABLE, saved)
    from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation
    processor, network = (auto.from_pretrained(saved) for auto in (AutoImageProcessor,
                                                                   AutoModelForSemanticSegmentation))
    with torch.inference_mode():
        (own,) = processor.post_process_semantic_segmentation(
            network(**processor(images=odd_pictures[0], return_tensors='pt')), target_sizes=[(53, 75)])
    (mask,) = segmenter.segment(odd_pictures[:1])
    assert (mask == np.array([0, 2, 0, 1])[own.numpy()]).all() and not segmenter.trainable
    with pytest.raises(ConfigError, match='new_head'):
        segmenter.losses(torch.rand(1, 3, 64, 64), torch.zeros(1, 64, 64, dtype=torch.long))
    with pytest.raises(ConfigError, match='no void class'):
        TransformersSegmenter(ClassTable(('warm', 'painted')), saved)


def test_a_new_head_keeps_the_body(saved):
    segmenter = TransformersSegmenter(TABLE, saved, new_head=True)
    from transformers import AutoModelForSemanticSegmentation
    body, own = AutoModelForSemanticSegmentation.from_pretrained(saved).state_dict(), segmenter.network.state_dict()
    changed = {name for name in body if body[name].shape != own[name].shape or not torch.equal(body[name], own[name])}
    assert changed and all(name.startswith('decode_head.classifier') for name in changed) and segmenter.trainable


def test_a_backbone_alone_gets_a_new_head(saved, tmp_path):
    """The encoders `nvidia/mit-b0` to `b5` are image classifiers without a decoder."""
    from transformers import AutoImageProcessor, SegformerConfig, SegformerForImageClassification
    SegformerForImageClassification(SegformerConfig(**TINY['segformer'])).save_pretrained(tmp_path)
    AutoImageProcessor.from_pretrained(saved).save_pretrained(tmp_path)
    assert TransformersSegmenter(TABLE, str(tmp_path), new_head=True).trainable
    with pytest.raises(ConfigError, match='they would be random'):
        TransformersSegmenter(TABLE, str(tmp_path), names={'LABEL_0': 'Warm'})


@pytest.mark.parametrize('settings, message', [
    (dict(model='no/such'), 'no/such'), (dict(model=dict(model_type='yolos')), 'cannot build'),
    (dict(size=(1, 2, 3)), 'size'), (dict(dtype='int8'), 'dtype'), (dict(batch_size=0), 'batch_size')])
def test_settings_that_cannot_be_are_refused(saved, settings, message):
    with pytest.raises(ConfigError, match=message):
        TransformersSegmenter(TABLE, **(dict(model=saved) | settings))
