"""Taggers keep the best labels above the threshold."""

import json
import sys

import numpy as np
import pytest
import torch
from language.captioners.conftest import scenes

from vlfusion.errors import ConfigError, DataError
from vlfusion.language.captioners.open_clip_tagger import OpenCLIPTagger
from vlfusion.language.captioners.pixels import rgb
from vlfusion.language.captioners.timm_classifier import TimmClassifier
from vlfusion.language.interfaces import Captioner

LABELS = ['car', 'person', 'tree', 'brain']


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    """A tiny architecture, made known to open_clip as users do, and a checkpoint of it."""
    open_clip = pytest.importorskip('open_clip')
    folder = tmp_path_factory.mktemp('clip')
    (folder / 'tiny-clip.json').write_text(json.dumps({
        'embed_dim': 16, 'vision_cfg': {'image_size': 32, 'layers': 1, 'width': 64, 'patch_size': 16},
        'text_cfg': {'context_length': 12, 'vocab_size': 49408, 'width': 16, 'heads': 2, 'layers': 1}}))
    open_clip.add_model_config(folder / 'tiny-clip.json')
    torch.manual_seed(0)
    model = open_clip.create_model('tiny-clip', pretrained=None)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data.normal_(0, 0.3)
    torch.save(model.state_dict(), folder / 'tiny.pt')
    return dict(model='tiny-clip', pretrained=str(folder / 'tiny.pt'))


@pytest.fixture(scope='module')
def classifier(tmp_path_factory):
    """The checkpoint of a tiny classifier of ImageNet's 1000 classes, and of one with four classes."""
    timm = pytest.importorskip('timm')
    folder, paths = tmp_path_factory.mktemp('timm'), []
    for classes in (1000, 4):
        torch.manual_seed(0)
        model = timm.create_model('test_vit', num_classes=classes)
        model.head.weight.data.normal_(0, 0.5)
        paths.append(str(folder / f'{classes}.pth'))
        torch.save(model.state_dict(), paths[-1])
    return paths


@pytest.fixture(params=['clip', 'timm'])
def tagger(request):
    """A tagger that keeps every label."""
    if request.param == 'clip':
        return OpenCLIPTagger(LABELS, **request.getfixturevalue('clip'), top_k=9, threshold=0, batch_size=2)
    return TimmClassifier('test_vit', checkpoint_path=request.getfixturevalue('classifier')[1], labels=LABELS, top_k=9,
                          threshold=0, batch_size=2)


def test_scores_are_a_softmax_over_the_labels_and_the_image_matters(tagger, pictures):
    assert isinstance(tagger, Captioner)
    observed = tagger.observe(scenes(pictures), ('infrared',))
    assert len(observed) == len(pictures)
    for of_one in observed:
        scores = [seen.score for seen in of_one]
        assert sorted(seen.text for seen in of_one) == sorted(LABELS)
        assert scores == sorted(scores, reverse=True) and sum(scores) == pytest.approx(1, abs=1e-5)
    assert len({of_one[0].score for of_one in observed}) > 1


def test_a_batch_gives_what_its_singles_give(tagger, pictures):
    for of_one, picture in zip(tagger.observe(scenes(pictures), ('',)), pictures, strict=True):
        (alone,) = tagger.observe([(picture,)], ('',))
        assert [seen.text for seen in alone] == [seen.text for seen in of_one]
        assert [seen.score for seen in alone] == pytest.approx([seen.score for seen in of_one], abs=1e-4)


def test_the_best_ones_above_the_threshold_are_kept(tagger, pictures):
    whole = tagger.observe(scenes(pictures), ('',))
    tagger.top_k = 2
    assert tagger.observe(scenes(pictures), ('',)) == [of_one[:2] for of_one in whole]
    tagger.threshold = whole[0][1].score
    assert all(seen.score >= tagger.threshold for of_one in tagger.observe(scenes(pictures), ('',)) for seen in of_one)
    tagger.threshold = 1.0
    assert all(len(of_one) <= 1 for of_one in tagger.observe(scenes(pictures), ('',)))
    assert tagger.observe([], ('',)) == []


def test_the_tags_are_those_of_the_documented_calls(clip, pictures):
    import open_clip
    model, transform = open_clip.create_model_from_pretrained(**{'model_name': clip['model'],
                                                                 'pretrained': clip['pretrained']})
    tokens = open_clip.get_tokenizer(clip['model'])([f'a {label} here' for label in LABELS])
    with torch.inference_mode():
        image_features, text_features, scale = model.eval()(transform(rgb(pictures[1]))[None], tokens)[:3]
        expected = (scale * image_features @ text_features.T).softmax(-1)[0]
    tagger = OpenCLIPTagger(LABELS, **clip, template='a $label here', top_k=4, threshold=0)
    (seen,) = tagger.observe(scenes(pictures[1:2]), ('',))
    assert {one.text: one.score for one in seen} == pytest.approx(dict(zip(LABELS, expected.tolist(), strict=True)),
                                                                  abs=1e-5)


def test_the_names_of_imagenet_are_there_without_a_network(classifier, pictures):
    tagger = TimmClassifier('test_vit', checkpoint_path=classifier[0], top_k=3, threshold=0)
    assert len(tagger.labels) == 1000 and tagger.labels[:2] == ['tench', 'goldfish']
    assert [len(of_one) for of_one in tagger.observe(scenes(pictures), ('',))] == [3] * len(pictures)


@pytest.mark.parametrize('picture', [np.full((9, 9), np.nan, np.float32), np.zeros((9, 9, 2), np.uint8)])
def test_what_is_no_image_is_refused(tagger, picture):
    with pytest.raises(DataError, match='A captioner reads'):
        tagger.observe([(picture,)], ('',))


def test_half_precision(clip, pictures):
    assert len(OpenCLIPTagger(LABELS, **clip, dtype='bfloat16').observe(scenes(pictures), ('',))) == len(pictures)


@pytest.mark.parametrize('labels, message', [([], 'none'), (['car', ' '], 'an empty one'), ('car', 'a list of words'),
                                             (['car', 'tree', 'car '], "'car' twice"), (['', ''], 'an empty one')])
def test_labels_that_cannot_be_are_refused(clip, classifier, labels, message):
    with pytest.raises(ConfigError, match=message):
        OpenCLIPTagger(labels, **clip)
    with pytest.raises(ConfigError, match=message):
        TimmClassifier('test_vit', checkpoint_path=classifier[1], labels=labels)


def test_a_label_that_would_be_cut_is_refused(clip):
    OpenCLIPTagger(['car ' * 7], **clip)  # 12 tokens with 'a photo of' and the two ends
    for words in (8, 200):
        with pytest.raises(ConfigError, match='more than the 12 tokens'):
            OpenCLIPTagger(['tree', 'car ' * words], **clip)


@pytest.mark.parametrize('setting, message', [
    (dict(pretrained='no/such/file.pt'), r'tiny-clip.*no/such/file.pt'), (dict(model='ViT-Z-1'), 'ViT-Z-1'),
    (dict(pretrained=None), 'cannot load'), (dict(template='a photo'), r'no place for \$label'),
    (dict(template='$label or $what'), 'cannot be filled in'), (dict(threshold=1.5), 'threshold'),
    (dict(top_k=0), 'top_k'), (dict(dtype='int8'), 'int8'), (dict(device='cuda:99'), 'cannot load')])
def test_settings_of_open_clip_that_cannot_be_are_refused(clip, setting, message):
    with pytest.raises(ConfigError, match=message):
        OpenCLIPTagger(LABELS, **(clip | setting))


def test_settings_of_timm_that_cannot_be_are_refused(classifier):
    for arguments, message in [
            (dict(model='no_such_net'), 'no_such_net'),
            (dict(model='test_vit', checkpoint_path='no/such.pth'), 'no/such.pth'),
            (dict(model='test_vit', checkpoint_path=classifier[0], labels=LABELS), 'cannot load'),
            (dict(model='test_vit', checkpoint_path=classifier[1]), 'cannot load'),
            (dict(model='test_vit', checkpoint_path=classifier[1], labels=LABELS, top_k=-1), 'top_k')]:
        with pytest.raises(ConfigError, match=message):
            TimmClassifier(**arguments)


@pytest.mark.parametrize('library, build', [('open_clip', lambda: OpenCLIPTagger(LABELS)),
                                            ('timm', lambda: TimmClassifier('test_vit'))])
def test_without_its_library_the_error_says_what_to_install(monkeypatch, library, build):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigError, match=r"pip install 'vlfusion\[vision\]'"):
        build()
