"""YDTR against numbers of the released code.

`data/network.npz` and `data/losses.json` hold what the authors' network and losses return for the state of
`released_state` and the images of `sources`, run once in float64 on current torch and the CPU, with SSIM's range fixed
to 1.
"""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from vlfusion.testing.released import check_conversion, draw_state
from vlfusion.testing.toys import take_one_step

pytest.importorskip('vlfusion_ydtr', reason='pip install --editable plugins/ydtr')

from vlfusion_ydtr import YDTR, SpatialFrequencyLoss, StructureLoss

from vlfusion.config import load_config
from vlfusion.errors import DataError
from vlfusion.models.fusion_model import FusionModel
from vlfusion.registry import BACKBONES, MODELS
from vlfusion.testing import check_backbone

CONFIGS = Path(__file__).parents[1] / 'configs'
DATA = Path(__file__).parent / 'data'
LOSSES = [dict(type='vlfusion_ydtr.StructureLoss'), dict(type='vlfusion_ydtr.SpatialFrequencyLoss')]


def released_shapes():
    """The shape of each tensor by its released name."""
    layers = {'convInput.conv': (64, 1, 3, 3), 'conv64.conv': (64, 64, 3, 3), 'conv.conv': (64, 128, 3, 3),
              'convolutional_out.conv': (1, 64, 1, 1), 'patch_embed.norm': (96,),
              'DDF.spatial_branch.body.0': (8, 64, 3, 3), 'DDF.spatial_branch.body.1': (1, 8, 3, 3),
              'DDF.channel_branch.fc.0': (8, 64, 1, 1), 'DDF.channel_branch.fc.2': (64, 8, 1, 1)}
    layers |= {f'{block}.bn': (64,) for block in ('convInput', 'conv64', 'conv')}
    for block in (f'basicLayer.blocks.{i}' for i in range(2)):
        layers |= {f'{block}.norm1': (64,), f'{block}.norm2': (64,), f'{block}.attn.qkv': (192, 64),
                   f'{block}.attn.proj': (64, 64), f'{block}.mlp.fc1': (256, 64), f'{block}.mlp.fc2': (64, 256)}
    shapes = {}
    for layer, shape in layers.items():
        shapes |= {f'{layer}.weight': shape, f'{layer}.bias': shape[:1]}
        if layer.endswith('.bn'):
            shapes |= {f'{layer}.running_mean': shape, f'{layer}.running_var': shape,
                       f'{layer}.num_batches_tracked': ()}
        if layer.endswith('.qkv'):
            attention = layer.removesuffix('.qkv')
            shapes |= {f'{attention}.relative_position_bias_table': (1, 8),
                       f'{attention}.relative_position_index': (1, 1)}
    return shapes


def released_state(seed=0):
    """A random state of the released network, drawn in the order of the names."""
    state = draw_state(released_shapes(), seed)
    state['convolutional_out.conv.weight'] *= 0.1  # keeps tanh from saturating
    return state


def sources():
    """Infrared and visible: two of 12x20 each, so that runs of 64 pixels reach from one channel into the next."""
    return torch.from_numpy(np.random.default_rng(1).random((2, 2, 1, 12, 20))).unbind()


@pytest.fixture(scope='module')
def expected():
    return dict(np.load(DATA / 'network.npz'))


@pytest.fixture
def network():
    """The network with the drawn state, in float64."""
    network = BACKBONES.build(dict(type='vlfusion_ydtr.YDTR')).double()
    network.load_state_dict(YDTR.convert_released(released_state()))
    return network.eval()


def test_equals_the_released_network(network, expected):
    with torch.no_grad():
        fused = network(*sources()).numpy()
    np.testing.assert_allclose(fused, expected['evaluation'].clip(0, 1), rtol=0, atol=1e-6)
    assert ((fused > 0) & (fused < 0.99)).mean() > 0.4  # else the comparison would say little


def test_equals_the_released_network_in_training_running_statistics_included(network, expected):
    with torch.no_grad():
        fused = network.train()(*sources()).numpy()
    np.testing.assert_allclose(fused, expected['training'], rtol=0, atol=1e-6)
    assert fused.min() < 0
    np.testing.assert_allclose(network.embed[1].running_mean, expected['running_mean'], rtol=1e-9)
    np.testing.assert_allclose(network.embed[1].running_var, expected['running_var'], rtol=1e-9)
    assert network.embed[1].num_batches_tracked == 2


def test_the_order_of_the_sources_does_not_matter(network):
    a, b = sources()
    with torch.no_grad():
        torch.testing.assert_close(network(a, b), network(b, a))
        assert (network(a, b) - network(a, a)).abs().max() > 1e-2


def test_what_every_backbone_must_do():
    torch.manual_seed(0)
    network = YDTR()
    with torch.no_grad():  # or the output may be negative nearly everywhere, and clamped, at the start
        network.project.bias.fill_(0.5)
    check_backbone(network)


def test_parameters():
    assert sum(parameter.numel() for parameter in YDTR().parameters()) == 89_946


def test_prefixed_states_convert_and_keep_the_values_of_the_attention(network):
    state = released_state()
    converted = YDTR.convert_released({f'module.{name}': value for name, value in state.items()})
    assert len(state) == 61 and converted.keys() == network.state_dict().keys() and len(converted) == 41
    assert torch.equal(network.transformer[1].value.weight, state['basicLayer.blocks.1.attn.qkv.weight'][128:])


def test_states_of_another_network_are_refused(network):
    check_conversion(network, released_state(), missing='DDF.channel_branch.fc.0.bias',
                     unknown='basicLayer.blocks.2.norm1.weight')


@pytest.mark.parametrize('term, name, tolerance', [
    (StructureLoss, 'structure', 1e-7), (SpatialFrequencyLoss, 'frequency', 1e-9)])
def test_losses_equal_the_released_ones(term, name, tolerance):
    expected = json.loads((DATA / 'losses.json').read_text())
    a, b = sources()
    fused = torch.from_numpy(np.random.default_rng(2).uniform(-0.3, 1, (2, 1, 12, 20)))
    assert term(weight_a=1, weight_b=0)(fused, a, b).item() == pytest.approx(expected[f'{name}_a'], rel=tolerance)
    assert term(weight_a=0, weight_b=1)(fused, a, b).item() == pytest.approx(expected[f'{name}_b'], rel=tolerance)


def test_the_total_of_a_training_step_equals_the_released_one(network):
    a, b = sources()
    fused = network.train()(a, b)
    total = StructureLoss()(fused, a, b) + SpatialFrequencyLoss()(fused, a, b)
    assert total.item() == pytest.approx(json.loads((DATA / 'losses.json').read_text())['total'], rel=1e-7)


def test_spatial_frequency_of_one_bright_pixel():
    dark = torch.zeros(1, 1, 16, 16)
    dot = dark.clone()
    dot[0, 0, 8, 8] = 1
    # At the dot both differences are 1; to its right and below it one each. Squares of 3x3 around those three places.
    squared = dark.clone()
    squared[0, 0, 8, 8], squared[0, 0, 8, 9], squared[0, 0, 9, 8] = 2, 1, 1
    summed = 9 * torch.nn.functional.avg_pool2d(squared, 3, 1, 1)
    assert SpatialFrequencyLoss(weight_a=2, weight_b=0, radius=1)(dot, dark, dark).item() == pytest.approx(
        2 * summed.square().sum().sqrt().item())
    assert SpatialFrequencyLoss(weight_a=2, weight_b=3, radius=1)(dot, dot, dark).item() == pytest.approx(
        3 * summed.square().sum().sqrt().item())


def test_structure_loss_refuses_images_smaller_than_its_window():
    small = torch.zeros(1, 1, 10, 16)
    with pytest.raises(DataError, match='at least 11x11'):
        StructureLoss()(small, small, small)


def test_training_lowers_the_loss_and_moves_every_parameter():
    torch.manual_seed(0)
    model = FusionModel(dict(type='vlfusion_ydtr.YDTR', dim=16), LOSSES)
    before = {name: value.clone() for name, value in model.named_parameters()}
    a, b = torch.rand(2, 2, 1, 20, 20, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    totals = []
    for _ in range(8):
        terms = model(a, b, mode='loss')
        expected = terms['structure'] + terms['spatial_frequency']
        assert terms['loss'].item() == pytest.approx(expected.item(), rel=1e-5) and math.isfinite(expected)
        totals.append(terms['loss'].item())
        optimizer.zero_grad()
        terms['loss'].backward()
        optimizer.step()
    assert totals[-1] < 0.95 * totals[0]
    assert all(not torch.equal(value, before[name]) for name, value in model.named_parameters())


def test_the_sample_config_builds_its_model():
    model = MODELS.build(load_config(CONFIGS / 'ydtr_ivf_sample.py').model)
    assert isinstance(model.backbone, YDTR) and len(model.losses) == 2


@pytest.mark.slow
def test_the_published_config_takes_one_step(tmp_path):
    take_one_step(CONFIGS / 'ydtr_tno.py', tmp_path, (120, 121), **{'model.backbone.dim': 8})
