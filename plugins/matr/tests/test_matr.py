"""MATR against numbers of the released code.

`data/network.npz` and `data/losses.json` hold what the authors' network and losses return for the state of
`released_state` and the images of `sources`, run once in float64 on current torch, with SSIM's range fixed to 1 and the
Cholesky decomposition by its present name.
"""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from vlfusion.testing.released import check_conversion, draw_state
from vlfusion.testing.toys import take_one_step

pytest.importorskip('vlfusion_matr', reason='pip install --editable plugins/matr')

from vlfusion_matr import MATR, RegionMutualInformationLoss
from vlfusion_matr.model import AdaptiveConv

from vlfusion.config import load_config
from vlfusion.errors import DataError
from vlfusion.losses import SSIMLoss
from vlfusion.models.fusion_model import FusionModel
from vlfusion.registry import BACKBONES, MODELS
from vlfusion.testing import check_backbone

CONFIGS = Path(__file__).parents[1] / 'configs'
DATA = Path(__file__).parent / 'data'
LOSSES = [dict(type='SSIMLoss', weight=1.0, window=11),
          dict(type='vlfusion_matr.RegionMutualInformationLoss', weight=1.0)]


def released_shapes():
    """The shape of each tensor by its released name."""
    shapes = {'convolutional_out.conv1.weight': (1, 16, 1, 1), 'patch_embed.norm.weight': (96,),
              'patch_embed.norm.bias': (96,)}
    norms = {}
    for block, channels in (('convInput', 2), ('conv', 16)):
        conv = f'{block}.conv1'
        shapes |= {f'{conv}.weight': (16, channels, 3, 3), f'{conv}.ce.weight': (5, 9), f'{conv}.gd.weight': (9, 5),
                   f'{conv}.gd2.weight': (9, 5), f'{conv}.ci.weight': (16, channels)}
        norms |= {f'{conv}.ce_bn': channels, f'{conv}.ci_bn2': channels, f'{conv}.ci_bn': 16, f'{block}.bn1': 16}
    for norm, channels in norms.items():
        shapes |= {f'{norm}.{part}': (channels,) for part in ('weight', 'bias', 'running_mean', 'running_var')}
        shapes[f'{norm}.num_batches_tracked'] = ()
    for block in (f'basicLayer.blocks.{i}' for i in range(3)):
        for layer, shape in {'attn.qkv': (48, 16), 'attn.proj': (16, 16), 'mlp.fc1': (64, 16), 'mlp.fc2': (16, 64),
                             'norm1': (16,), 'norm2': (16,)}.items():
            shapes |= {f'{block}.{layer}.weight': shape, f'{block}.{layer}.bias': shape[:1]}
        shapes |= {f'{block}.attn.relative_position_bias_table': (1, 8),
                   f'{block}.attn.relative_position_index': (1, 1)}
    return shapes


def released_state(seed=0):
    """A random state of the released network, drawn in the order of the names."""
    return draw_state(released_shapes(), seed)


def sources():
    """MRI and functional image: two of 16x16 each, the only shape of image that the released network takes: square."""
    return torch.from_numpy(np.random.default_rng(1).random((2, 2, 1, 16, 16))).unbind()


@pytest.fixture(scope='module')
def expected():
    return dict(np.load(DATA / 'network.npz'))


@pytest.fixture
def network():
    """The network with the drawn state, in float64."""
    network = BACKBONES.build(dict(type='vlfusion_matr.MATR')).double()
    network.load_state_dict(MATR.convert_released(released_state()))
    return network.eval()


def test_equals_the_released_network(network, expected):
    with torch.no_grad():
        fused = network(*sources()).numpy()
    np.testing.assert_allclose(fused, expected['evaluation'].clip(0, 1), rtol=0, atol=1e-6)
    assert ((fused > 0) & (fused < 1)).mean() > 0.5  # else the comparison would say little


def test_equals_the_released_network_in_training_running_statistics_included(network, expected):
    with torch.no_grad():
        fused = network.train()(*sources()).numpy()
    np.testing.assert_allclose(fused, expected['training'], rtol=0, atol=1e-6)
    assert fused.min() < 0
    np.testing.assert_allclose(network.extract[1].running_mean, expected['running_mean'], rtol=1e-9)
    np.testing.assert_allclose(network.extract[1].running_var, expected['running_var'], rtol=1e-9)
    assert network.extract[1].num_batches_tracked == 9 * network.embed[1].num_batches_tracked == 9


def test_the_functional_image_goes_first(network):
    a, b = sources()
    with torch.no_grad():
        assert (network(a, b) - network(b, a)).abs().max() > 1e-2


def test_what_every_backbone_must_do():
    torch.manual_seed(0)
    network = MATR()
    with torch.no_grad():  # or the output may be negative everywhere, and clamped, at the start
        network.project.weight.abs_()
    check_backbone(network)


def test_parameters():
    assert sum(parameter.numel() for parameter in MATR().parameters()) == 11_574


@pytest.mark.parametrize('channels', [2, 16])
def test_adaptive_convolution_by_explicit_windows(channels):
    torch.manual_seed(0)
    conv = AdaptiveConv(channels, 16).eval()
    x = torch.rand(2, channels, 7, 10)
    code = conv.encode(torch.nn.functional.adaptive_avg_pool2d(x, 3).reshape(2, channels, 9))
    of_input = conv.input_gate(conv.input_norm(code).relu())
    mixed = torch.einsum('oc,bcl->bol', conv.mix.weight, conv.mix_norm(code).relu())
    of_output = conv.output_gate(conv.output_norm(mixed).relu())
    gates = torch.sigmoid(of_output[:, :, None] + of_input[:, None, :])
    windows = torch.nn.functional.unfold(x, 3, padding=1).reshape(2, channels, 9, 70)
    expected = torch.einsum('bock,ock,bckl->bol', gates, conv.weight.reshape(16, channels, 9), windows)
    torch.testing.assert_close(conv(x), expected.reshape(2, 16, 7, 10))


def test_prefixed_states_convert_and_keep_the_values_of_the_attention(network):
    state = released_state()
    converted = MATR.convert_released({f'module.{name}': value for name, value in state.items()})
    assert len(state) == 95 and converted.keys() == network.state_dict().keys()
    assert torch.equal(network.transformer[1].value.weight, state['basicLayer.blocks.1.attn.qkv.weight'][32:])


def test_states_of_another_network_are_refused(network):
    check_conversion(network, released_state(), missing='conv.conv1.ci.weight',
                     unknown='basicLayer.blocks.3.norm1.weight')


def test_losses_equal_the_released_ones(network):
    expected = json.loads((DATA / 'losses.json').read_text())
    a, b = sources()
    fused = torch.from_numpy(np.random.default_rng(2).uniform(-0.3, 1, (2, 1, 16, 16)))
    assert RegionMutualInformationLoss(weight_a=1, weight_b=0)(fused, a, b).item() == pytest.approx(
        expected['region_a'], abs=1e-7)
    assert RegionMutualInformationLoss(weight_a=0, weight_b=1)(fused, a, b).item() == pytest.approx(
        expected['region_b'], abs=1e-7)
    assert SSIMLoss(window=11)(fused, a, b).item() == pytest.approx(
        expected['structure_a'] + expected['structure_b'], abs=1e-7)
    trained = network.train()(a, b)
    total = SSIMLoss(window=11)(trained, a, b) + RegionMutualInformationLoss()(trained, a, b)
    assert total.item() == pytest.approx(expected['total'], abs=1e-6)


def test_region_loss_refuses_what_has_no_region():
    small = torch.zeros(1, 1, 6, 16)
    with pytest.raises(DataError, match='at least 7x7'):
        RegionMutualInformationLoss()(small, small, small)


def test_region_loss_of_flat_images():
    flat = torch.full((1, 1, 16, 16), 0.5)  # no scatter: the ridge alone is left
    ridge = RegionMutualInformationLoss._EPSILON
    expected = (math.log(2) + 0.5 * math.log(ridge)) / 2  # the cross-entropy of a probability of one half is log 2
    assert RegionMutualInformationLoss(weight_a=1, weight_b=0)(0 * flat, flat, flat).item() == pytest.approx(
        expected, rel=1e-6)


@pytest.mark.slow
def test_training_lowers_the_loss_and_moves_every_parameter():
    torch.manual_seed(0)
    model = FusionModel(dict(type='vlfusion_matr.MATR'), LOSSES)
    before = {name: value.clone() for name, value in model.named_parameters()}
    a, b = torch.rand(2, 4, 1, 24, 24, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    totals = []
    for _ in range(10):
        terms = model(a, b, mode='loss')
        expected = terms['ssim'] + terms['region_mutual_information']
        assert terms['loss'].item() == pytest.approx(expected.item(), rel=1e-5) and math.isfinite(expected)
        totals.append(terms['loss'].item())
        optimizer.zero_grad()
        terms['loss'].backward()
        optimizer.step()
    assert totals[-1] < totals[0] - 0.1
    assert all(not torch.equal(value, before[name]) for name, value in model.named_parameters())


def test_the_sample_config_builds_its_model():
    model = MODELS.build(load_config(CONFIGS / 'matr_mif_sample.py').model)
    assert isinstance(model.backbone, MATR) and len(model.losses) == 2


@pytest.mark.slow
def test_the_published_config_takes_one_step(tmp_path):
    take_one_step(CONFIGS / 'matr_spect.py', tmp_path, (120, 121), **{'model.backbone.dim': 8})
