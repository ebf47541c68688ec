"""Perceptual losses compare features of a network that does not learn."""

from urllib.error import URLError

import pytest
import torch

from vlfusion.errors import ConfigError
from vlfusion.losses import PerceptualLoss
from vlfusion.losses.perceptual import from_torchvision, vgg_stages
from vlfusion.models import FusionModel

pytest.importorskip('timm', reason="pip install 'vlfusion[vision]'")


@pytest.fixture
def loss():
    torch.manual_seed(0)
    return PerceptualLoss(model='resnet10t', pretrained=False, layers=(0, 2))


def test_distances_are_those_of_the_features(loss):
    fused, a, b = torch.rand(3, 2, 1, 32, 32)
    network = loss.features.network
    of_fused, of_a, of_b = (network((image.repeat(1, 3, 1, 1) - loss.mean) / loss.std) for image in (fused, a, b))
    assert len(of_fused) == 2
    expected = sum((own - other).square().mean() for of_source in (of_a, of_b)
                   for own, other in zip(of_fused, of_source, strict=True)) / 4
    torch.testing.assert_close(loss(fused, a, b), expected)
    assert loss(a, a, a) == 0


def test_the_network_judges_and_does_not_learn(loss):
    assert not list(loss.parameters()) and not loss.state_dict()
    fused = torch.rand(1, 1, 32, 32, requires_grad=True)
    loss.train()
    loss(fused, *torch.rand(2, 1, 1, 32, 32)).backward()
    assert fused.grad.abs().sum() > 0 and not loss.features.network.training
    assert all(parameter.grad is None for parameter in loss.features.network.parameters())


@pytest.mark.slow
def test_a_model_trains_with_it_and_its_checkpoint_holds_no_judge():
    model = FusionModel(dict(type='TimmFusion', encoder='resnet10t', dim=8),
                        [dict(type='PerceptualLoss', weight=0.1, model='resnet10t', pretrained=False)])
    terms = model(*torch.rand(2, 2, 1, 32, 32), mode='loss')
    torch.testing.assert_close(terms['loss'].detach(), 0.1 * terms['perceptual'])
    terms['loss'].backward()
    assert all(name.startswith('backbone.') for name in model.state_dict())


def test_what_cannot_be_is_named():
    with pytest.raises(ConfigError, match='resnet999'):
        PerceptualLoss(model='resnet999', pretrained=False)


@pytest.fixture
def vgg(monkeypatch):
    """torchvision's module, with VGG of an eighth of its channels, and so in a moment."""
    module = pytest.importorskip('torchvision.models.vgg', reason="pip install 'vlfusion[perceptual]'")
    for letter in 'DE':
        monkeypatch.setitem(module.cfgs, letter, [w if w == 'M' else w // 8 for w in module.cfgs[letter]])
    return module


@pytest.mark.parametrize(('depth', 'stages', 'last'), [(16, 1, 'conv1_2'), (16, 5, 'conv5_3'), (19, 3, 'conv3_4')])
def test_stages_of_vgg_end_before_their_pooling(vgg, monkeypatch, depth, stages, last):
    whole = vgg.make_layers(vgg.cfgs['D' if depth == 16 else 'E'])
    state = {f'features.{name}': value for name, value in whole.state_dict().items()}
    weights = getattr(vgg, f'VGG{depth}_Weights')
    monkeypatch.setattr(weights, 'get_state_dict', lambda self, **options: state)
    layers = vgg_stages('Term', depth, stages, 'IMAGENET1K_V1')
    assert isinstance(whole[len(layers)], torch.nn.MaxPool2d) and isinstance(layers[-1], torch.nn.ReLU)
    assert sum(isinstance(layer, torch.nn.MaxPool2d) for layer in layers) == stages - 1 == int(last[4]) - 1
    x = torch.rand(1, 3, 32, 32)
    assert torch.equal(layers(x), whole[:len(layers)](x))


def test_weights_that_cannot_be_fetched_are_explained(vgg, monkeypatch):
    def fail(self, **options):
        raise URLError('no route')
    monkeypatch.setattr(vgg.VGG19_Weights, 'get_state_dict', fail)
    with pytest.raises(ConfigError, match='VGG-19 could not be fetched: .*no route.*\n.*TORCH_HOME'):
        vgg_stages('Term', 19, 1, 'IMAGENET1K_V1')


def test_a_missing_torchvision_is_named():
    with (pytest.raises(ConfigError, match=r'Term needs torchvision.*\n.*vlfusion\[perceptual\]'),
          from_torchvision('Term', 'VGG-19')):
        raise ImportError('No module named torchvision')
