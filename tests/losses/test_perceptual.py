import pytest
import torch

from vlfusion.errors import ConfigError
from vlfusion.losses import PerceptualLoss
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
