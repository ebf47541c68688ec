"""The fusion model trains, validates and predicts."""

import json
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from vlfusion.errors import ConfigError
from vlfusion.models import FusionModel, needed_texts
from vlfusion.models.backbones.film import FILM
from vlfusion.models.fusion_model import _snake_case
from vlfusion.registry import BACKBONES, MODELS, OPTIM_WRAPPERS, snapshot
from vlfusion.testing.shared import shared

LOSSES = [dict(type='MaxIntensityLoss', weight=1.0), dict(type='MaxGradientLoss', weight=20.0),
          dict(type='SSIMLoss', weight=0)]


@pytest.mark.slow
@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
def test_four_released_training_steps(dtype):
    """Losses, their parts and gradient norms of FusionModel under Adam equal the released training step's.

    In float32 a PReLU input of 1e-8 may take either sign, and gradient norms after the first step then differ by more
    than 1e-4 between any two ways of writing the network; float64 has no such luck in it.
    """
    released = json.loads(shared('golden/film/train_losses.json').read_text())
    batch = {key: value.to(dtype) for key, value in load_file(shared('golden/film/train_batch.safetensors')).items()}
    model = FusionModel(dict(type='FILM', text_dim=768), LOSSES)
    model.backbone.load_state_dict(FILM.convert_released(load_file(shared('golden/film/state_dict.safetensors'))))
    model.to(dtype)
    adam = torch.optim.Adam(model.parameters(), released['lr'])
    wrapper = OPTIM_WRAPPERS.build(dict(type='OptimWrapper', optimizer=adam))
    norms = []
    adam.register_step_pre_hook(
        lambda *_: norms.append(torch.nn.utils.get_total_norm([parameter.grad for parameter in model.parameters()])))
    inputs = {key: batch[key] for key in ('source_a', 'source_b', 'text')}
    for step, expected in enumerate(released['steps']):
        logged = model.train_step(inputs, wrapper)
        assert logged['loss'].item() == pytest.approx(expected['loss'], rel=1e-4)
        assert logged['max_intensity'].item() == pytest.approx(expected['intensity'], rel=1e-4)
        assert logged['max_gradient'].item() == pytest.approx(expected['gradient'], rel=1e-4)
        if dtype == torch.float64 or step == 0:
            assert norms[-1].item() == pytest.approx(expected['grad_norm'], rel=1e-4)
        assert set(logged) == {'loss', 'max_intensity', 'max_gradient'}, 'a term without weight was computed'


@pytest.fixture(scope='module')
def model():
    return MODELS.build(dict(type='FusionModel', backbone=dict(type='FILM', text_dim=8, guidance_grid=(16, 32)),
                             losses=LOSSES))


@pytest.fixture
def batch():
    torch.manual_seed(0)
    return dict(source_a=torch.rand(2, 1, 20, 24), source_b=torch.rand(2, 1, 20, 24), text=torch.randn(2, 5, 8),
                text_mask=torch.ones(2, 5, dtype=torch.bool), name=['x', 'y'], path_a=['', ''], path_b=['', ''])


def test_modes(model, batch):
    fused = model(**batch)
    assert fused.shape == (2, 1, 20, 24)
    predicted = model(**batch, mode='predict')
    assert [output['name'] for output in predicted] == ['x', 'y']
    assert torch.equal(predicted[1]['fused'], fused[1])
    terms = model(**batch, mode='loss')
    assert terms['loss'].item() == pytest.approx((terms['max_intensity'] + 20 * terms['max_gradient']).item(), rel=1e-6)
    with pytest.raises(ConfigError, match="Unknown mode 'train'"):
        model(**batch, mode='train')


def test_a_model_without_losses_fuses_but_does_not_train(batch):
    model = FusionModel(dict(type='FILM', text_dim=8, guidance_grid=(16, 32)), [dict(type='LpLoss', weight=0)])
    model(**batch)
    with pytest.raises(ConfigError, match='no loss with a weight'):
        model(**batch, mode='loss')


def test_one_loss_twice_is_an_error():
    with pytest.raises(ConfigError, match='MaxIntensityLoss twice'):
        FusionModel(dict(type='FILM'), [dict(type='MaxIntensityLoss')] * 2)


@pytest.mark.parametrize(('name', 'logged'), [('MaxGradientLoss', 'max_gradient'), ('SSIMLoss', 'ssim'),
                                              ('LpLoss', 'lp'), ('CLIPDirectionalLoss', 'clip_directional')])
def test_terms_are_logged_by_readable_names(name, logged):
    assert _snake_case(name) == logged


def test_a_margin_takes_the_frame_off_but_not_in_training():
    class Blur(torch.nn.Conv2d):
        def __init__(self):
            super().__init__(1, 1, 3, padding=1, bias=False)
            torch.nn.init.constant_(self.weight, 1 / 9)

        def forward(self, source_a, source_b):
            return super().forward((source_a + source_b) / 2)

    undo = snapshot()
    BACKBONES.register_module(name='Blur', module=Blur)
    try:
        plain, wide = (FusionModel(dict(type='Blur'), margin=margin).eval() for margin in (0, 2))
    finally:
        undo()
    flat, image = torch.full((1, 1, 5, 1), 0.5), torch.rand(1, 1, 9, 7, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert plain(flat, flat).min() < 0.4 and torch.allclose(wide(flat, flat), flat), 'an image of one column too'
        assert wide(image, image).shape == image.shape
        assert torch.allclose(wide(image, image)[..., 1:-1, 1:-1], plain(image, image)[..., 1:-1, 1:-1])
        assert torch.equal(wide.train()(image, image), plain(image, image))


class TestTrainable:
    FILM = dict(type='FILM', text_dim=8, dim=8, heads=2, guidance_grid=(8, 16), attention_dim=16, guidance='spatial')

    def test_all_other_parameters_are_frozen_and_stay(self, batch):
        model = FusionModel(self.FILM, LOSSES, trainable=['correction', 'decoder.4'])
        learns = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        assert learns == {name for name, _ in model.named_parameters()
                          if name.startswith(('backbone.correction.', 'backbone.decoder.4.'))}
        before = {name: value.clone() for name, value in model.named_parameters()}
        wrapper = OPTIM_WRAPPERS.build(dict(type='OptimWrapper', optimizer=torch.optim.SGD(model.parameters(), lr=1)))
        model.train_step(batch, wrapper)
        moved = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
        assert {'backbone.correction.numbers.3.weight', 'backbone.decoder.4.weight'} <= moved <= learns

    def test_by_default_all_learn(self):
        assert all(parameter.requires_grad for parameter in FusionModel(self.FILM).parameters())

    def test_a_name_that_no_parameter_has_is_an_error(self):
        with pytest.raises(ConfigError, match=r"(?s)FILM has no parameter whose name begins with 'corection'.*"
                                              'text_projection, stages, decoder, correction'):
            FusionModel(self.FILM, trainable=['decoder', 'corection'])

    def test_statistics_of_frozen_parts_stay(self, monkeypatch):
        class Normed(nn.Module):
            def __init__(self):
                super().__init__()
                self.norm, self.scale = nn.BatchNorm2d(1), nn.Conv2d(1, 1, 1)

            def forward(self, source_a, source_b):
                return self.scale(self.norm(source_a + source_b))
        monkeypatch.setitem(BACKBONES.module_dict, 'Normed', Normed)
        model = FusionModel(dict(type='Normed'), LOSSES, trainable=['scale']).train()
        image = torch.rand(2, 1, 16, 16)
        model(image, image, mode='loss')
        assert not model.backbone.norm.running_mean.any() and model.backbone.scale.training


@pytest.mark.parametrize(('optional', 'needed'), [
    (False, {'text', 'instruction'}), (True, set()), (('instruction',), {'text'}), ((), {'text', 'instruction'})])
def test_texts_that_may_be_left_out_are_named(optional, needed):
    backbone = SimpleNamespace(text_dim=dict(text=8, instruction=4), text_optional=optional)
    assert needed_texts(backbone).keys() == needed


def test_texts_that_a_film_needs():
    assert needed_texts(FILM(text_dim=8, guidance='spatial', instruction_dim=4)) == {'text': 8}
    assert needed_texts(FILM(text_dim=8)) == {'text': 8} and needed_texts(torch.nn.Identity()) == {}
