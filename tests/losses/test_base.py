"""A function becomes a loss with a weight."""

import pickle

import pytest
import torch
from torch import nn

from vlfusion.errors import ConfigError
from vlfusion.losses import MaxIntensityLoss
from vlfusion.models import FusionModel
from vlfusion.registry import LOSSES
from vlfusion.testing import check_loss


@pytest.fixture
def images():
    return torch.rand(3, 2, 1, 8, 9, generator=torch.Generator().manual_seed(0)).unbind()


def test_a_function_becomes_a_module_with_a_weight(images):
    term = LOSSES.build(dict(type='MaxIntensityLoss', weight=2.5))
    assert type(term) is MaxIntensityLoss and isinstance(term, nn.Module) and term.weight == 2.5
    assert MaxIntensityLoss().weight == 1 and MaxIntensityLoss.__doc__.startswith('Mean of')
    fused, a, b = images
    assert term(*images).item() == pytest.approx((fused - torch.maximum(a, b)).abs().mean().item())
    check_loss(term)


def test_it_takes_nothing_but_a_weight():
    with pytest.raises(ConfigError, match='window'):
        LOSSES.build(dict(type='MaxIntensityLoss', window=5))


def test_it_is_found_again_by_name(images):
    assert torch.equal(pickle.loads(pickle.dumps(MaxIntensityLoss()))(*images), MaxIntensityLoss()(*images))


def test_a_model_logs_it_under_its_name(images):
    model = FusionModel(dict(type='TimmFusion', encoder='resnet10t', dim=4),
                        [dict(type='MaxIntensityLoss'), dict(type='MaxGradientLoss', weight=20.0)])
    terms = model.terms(*images)
    assert terms.keys() == {'max_intensity', 'max_gradient'}
