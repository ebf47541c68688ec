"""Any encoder of timm that gives feature maps becomes a fusion network."""

import pytest
import torch

from vlfusion.errors import ConfigError
from vlfusion.models.backbones import TimmFusion
from vlfusion.testing import check_backbone

pytest.importorskip('timm', reason="pip install 'vlfusion[vision]'")


@pytest.mark.slow
@pytest.mark.parametrize(('encoder', 'options'), [
    ('resnet10t', {'zero_init_last': False}), ('edgenext_xx_small', {'out_indices': (0, 1)}),
    ('vit_tiny_patch16_224', {'img_size': 32, 'dynamic_img_size': True, 'out_indices': (0, 1), 'depth': 2}),
    ('convnext_atto', {'out_indices': (0,)})])
def test_any_encoder_that_gives_feature_maps(encoder, options):
    torch.manual_seed(0)
    check_backbone(TimmFusion(encoder, dim=8, options=options), tolerance=1e-4)


@pytest.mark.parametrize('rule', ['max', 'mean', 'sum'])
def test_features_are_merged_by_the_rule(rule):
    model = TimmFusion('resnet10t', rule=rule, dim=8).eval()
    a, b = torch.rand(2, 1, 1, 32, 32)
    merged = [model.merge(*both) for both in zip(model.encoder(a), model.encoder(b), strict=True)]
    expected = {'max': torch.maximum, 'mean': lambda a, b: (a + b) / 2, 'sum': lambda a, b: a + b}[rule]
    for of_scale, fused in zip(zip(model.encoder(a), model.encoder(b), strict=True), merged, strict=True):
        torch.testing.assert_close(fused, expected(*of_scale))


@pytest.mark.slow
def test_it_learns():
    torch.manual_seed(0)
    model, (a, b) = TimmFusion('resnet10t', dim=8), torch.rand(2, 2, 1, 32, 32)
    adam = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(12):
        loss = (model(a, b) - torch.maximum(a, b)).abs().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize(('arguments', 'message'), [
    (dict(encoder='resnet999'), 'resnet999'), (dict(rule='product'), 'no rule .product'),
    (dict(encoder='resnet10t', options={'out_indices': (9,)}), 'cannot make feature maps')])
def test_what_cannot_be_is_named(arguments, message):
    with pytest.raises(ConfigError, match=message):
        TimmFusion(**arguments)


def test_published_weights_are_wanted_when_training_starts_and_not_before(monkeypatch):
    torch.manual_seed(0)
    published = TimmFusion('resnet10t').encoder.state_dict()
    model = TimmFusion('resnet10t', pretrained=True)  # builds where no hub can be reached, as a checkpoint's model must
    with pytest.raises(ConfigError, match='published weights of the encoder cannot be loaded'):
        model.init_weights()

    def create(pretrained):
        encoder = TimmFusion('resnet10t').encoder
        encoder.load_state_dict(published)
        return encoder

    monkeypatch.setattr(model, '_create', create)
    model.init_weights()
    assert all(torch.equal(value, published[name]) for name, value in model.encoder.state_dict().items())
