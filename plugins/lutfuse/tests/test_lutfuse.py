"""LUT-Fuse against numbers in tests/data: the released code ran once, in float64, on states and images drawn here.

`released.npz`: its output for two grey pairs and one colour pair. `released.json`: four steps of Adam (5e-5) of the
released table and network without dropout, under the terms of the released script, on grey images with a drawn teacher;
`kept` without clearing gradients, as in that script, and `cleared`. It holds the terms before each step, and afterwards
the sum of each state and how far it moved.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from vlfusion.testing.released import check_conversion, draw_state
from vlfusion.testing.shared import shared
from vlfusion.testing.toys import draw_pairs, take_one_step

pytest.importorskip('vlfusion_lutfuse', reason='pip install --editable plugins/lutfuse')

from mmengine.optim import OptimWrapper
from vlfusion_lutfuse import LUTFuse
from vlfusion_lutfuse.model import edges, interpolate
from vlfusion_lutfuse.training import table_terms

from vlfusion.config import load_config
from vlfusion.errors import CheckpointError
from vlfusion.registry import BACKBONES, MODELS
from vlfusion.testing import check_backbone

CONFIGS = Path(__file__).parents[1] / 'configs'
DATA = Path(__file__).parent / 'data'
IMAGES = np.load(DATA / 'released.npz')
NUMBERS = json.loads((DATA / 'released.json').read_text())
SHAPES = {name: tuple(shape) for name, shape in NUMBERS['shapes'].items()}


def released_state():
    """A drawn table that rises on the whole, and a network whose context covers its range."""
    state, noise = draw_state(SHAPES, seed=4), np.random.default_rng(2).normal(size=(16,) * 4)
    levels = np.arange(16) * 16 / 255
    state['lut'] = torch.from_numpy((levels[:, None, None, None] + levels + 0.3 * noise)[..., None] / 2)
    state['input_layer.0.weight'] /= 50
    state['output_layer.1.weight'] *= 2
    return state


def images(count, height, width, seed=1):
    """Visible in colour, and infrared."""
    generator = np.random.default_rng(seed)
    return (torch.from_numpy(generator.random((count, 3, height, width))),
            torch.from_numpy(generator.random((count, 1, height, width))))


def luminance(visible):
    return (visible * torch.tensor([0.299, 0.587, 0.114], dtype=visible.dtype)[:, None, None]).sum(1, keepdim=True)


@pytest.fixture
def network():
    net = BACKBONES.build(dict(type='vlfusion_lutfuse.LUTFuse')).eval().double()
    net.load_state_dict(LUTFuse.convert_released(released_state()))
    return net


@pytest.mark.parametrize(('name', 'size'), [('first', (18, 22)), ('second', (25, 12))])
def test_equals_the_released_code(network, name, size):
    visible, infrared = images(1, *size)
    with torch.no_grad():
        fused = network(infrared, luminance(visible))[0, 0].numpy()
    assert IMAGES[name].max() > 1, 'so clamping counts'
    np.testing.assert_allclose(fused, IMAGES[name].clip(0, 1), rtol=0, atol=1e-12)


def test_equals_the_released_code_in_colour(network):
    visible, infrared = images(1, 18, 22)
    with torch.no_grad():
        fused = network.fuse_colour(infrared, visible)[0].numpy()
    np.testing.assert_allclose(fused, IMAGES['colour'], rtol=0, atol=2e-6)  # their colour matrices have six digits


@pytest.mark.parametrize('gradients', ['kept', 'cleared'])
def test_training_equals_the_released_step(gradients):
    model = MODELS.build(dict(load_config(CONFIGS / 'lutfuse_ivf.py').model, keep_gradients=gradients == 'kept'))
    model.double().train().backbone.load_state_dict(LUTFuse.convert_released(released_state()))
    model.backbone.context.last[0].p = 0.
    before = {name: value.clone() for name, value in model.backbone.state_dict().items()}
    visible, infrared = images(2, 60, 64, seed=7)
    sample = dict(source_a=infrared, source_b=visible[:, :1], truth=images(2, 60, 64, seed=8)[1])
    optimizer = OptimWrapper(torch.optim.Adam(model.parameters(), lr=5e-5))
    for expected in NUMBERS[gradients]['steps']:
        log = model.train_step(sample, optimizer)
        for name, key, tolerance in (('truth', 'truth', 1e-9), ('ssim', 'structure', 1e-6),
                                     ('table_roughness', 'rough', 1e-9), ('table_falls', 'falls', 1e-9)):
            assert log[name].item() == pytest.approx(expected[key], rel=tolerance), name
        total = (log['truth'] + log['ssim'] + 10 * log['table_falls'] + 1e-4 * log['table_roughness']).item()
        assert log['loss'].item() == pytest.approx(total)
    state = model.backbone.state_dict()
    ours = {'lut': 'table', 'input_layer.0.weight': 'context.first.0.weight',
            'mid_layer.3.bias': 'context.middle.3.bias', 'mid_layer.8.weight': 'context.middle.8.weight',
            'output_layer.1.weight': 'context.last.1.weight'}
    for released, moved in NUMBERS[gradients]['moved'].items():
        assert (state[ours[released]] - before[ours[released]]).abs().sum().item() == pytest.approx(moved, rel=1e-4)
        assert state[ours[released]].sum().item() == pytest.approx(NUMBERS[gradients]['sums'][released], rel=1e-7)


def test_released_files_are_read_and_fill_the_network():
    states = [LUTFuse.read_released(shared(f'zoo/lutfuse/{name}'))
              for name in ('fine_tuned_lut.npy', 'generator_context.pth')]
    for order in (states, states[::-1]):
        net = LUTFuse().eval()
        net.load_state_dict(LUTFuse.convert_released(*order))
        assert torch.equal(net.table[..., None], states[0]['lut'])
    with torch.no_grad():
        fused = net(*torch.rand(2, 1, 1, 40, 50, generator=torch.Generator().manual_seed(0)))
    assert fused.std() > 0.1


def test_an_array_with_code_is_refused(tmp_path):
    path = tmp_path / 'table.npy'
    np.save(path, np.array([dict()], dtype=object))
    with pytest.raises(CheckpointError, match='cannot be read'):
        LUTFuse.read_released(path)
    with pytest.raises(CheckpointError, match='cannot be read'):
        LUTFuse.read_released(tmp_path / 'absent.npy')


@pytest.mark.slow
def test_what_every_backbone_must_do():
    torch.manual_seed(0)
    check_backbone(LUTFuse())
    check_backbone(LUTFuse(channels=1, size=5, dim=4), size=(5, 3))


def test_parameter_count():
    assert sum(parameter.numel() for parameter in LUTFuse().parameters()) == 16 ** 4 + 7_825


def test_interpolation_is_exact_for_a_linear_table_and_has_its_gradient():
    weights = torch.tensor([1., -2., 3., 0.5], dtype=torch.float64)
    axes = torch.meshgrid(*[torch.arange(4, dtype=torch.float64)] * 4, indexing='ij')
    table = sum(weight * axis for weight, axis in zip(weights, axes, strict=True)).requires_grad_()
    positions = [(3 * torch.rand(7, dtype=torch.float64)).requires_grad_() for _ in range(4)]
    values = interpolate(table, positions)
    torch.testing.assert_close(values, sum(weight * place for weight, place in zip(weights, positions, strict=True)))
    *slopes, shares = torch.autograd.grad(values.sum(), [*positions, table])
    for slope, weight in zip(slopes, weights, strict=True):
        torch.testing.assert_close(slope, weight.expand(7))
    assert shares.sum().item() == pytest.approx(7)
    beyond = [torch.full((1,), position, dtype=torch.float64) for position in (-1, 9, 3, 0)]
    assert interpolate(table, beyond).item() == table[0, 3, 3, 0]


@pytest.mark.parametrize('size', [5, 16])
def test_an_untrained_table_mixes_the_sources(size):
    net = LUTFuse(size=size).eval()
    with torch.no_grad():
        net.context.last[1].weight.zero_()
        for bias, expected in ((-50., 'visible'), (50., 'infrared')):
            net.context.last[1].bias.fill_(bias)
            infrared, visible = 0.8 * torch.rand(2, 1, 1, 6, 7)  # below the last level
            mixed = infrared if expected == 'infrared' else visible
            torch.testing.assert_close(net(infrared, visible), mixed, rtol=0, atol=1e-5)


def test_a_bright_border_is_an_edge():
    strength = edges(torch.full((1, 1, 6, 7), 0.7))[0, 0]
    assert (strength[1:-1, 1:-1] == 0).all() and strength[0, 0] == pytest.approx(1) and strength[0, 3] > 0.9


def test_roughness_and_drops_by_hand():
    table = torch.zeros(4, 4, 4, 4)
    table[2:] = -1  # one drop of 1 between the inner neighbours of the first dimension
    rough, falls = table_terms(table)
    assert rough.item() == pytest.approx(1 / 3) and falls.item() == pytest.approx(1 / 3)
    table = torch.zeros(4, 4, 4, 4)
    table[..., 3] = 1  # a rise at the end of the last one, which counts twice
    rough, falls = table_terms(table)
    assert rough.item() == pytest.approx(2 / 3) and falls == 0


def test_states_of_another_network_are_refused():
    check_conversion(LUTFuse(), released_state(), missing='lut', unknown='mid_layer.9.weight')


@pytest.mark.slow
def test_the_configs_take_one_step(tmp_path):
    draw_pairs(tmp_path, ['p0', 'p1'], 'RoadScene_train/teacher', 'unused', size=(132, 140), seed=1)
    checkpoint = take_one_step(CONFIGS / 'lutfuse_ivf.py', tmp_path, (132, 140), load_from=None)
    assert 'backbone.table' in torch.load(checkpoint, weights_only=True)['state_dict']
    model = MODELS.build(load_config(CONFIGS / 'lutfuse_ivf_sample.py').model)
    assert model.backbone.channels == 1
