"""ReCoNet against numbers in tests/data: the released code ran once, in float64, on states and images drawn here.

`released.npz`: the released fusion network after one loop and after three. `released.json`: four steps of AdamW (1e-3)
of that network in training mode, under 3 times the mean of `kornia.losses.ssim_loss` (0.6.5, window 11) and 2 times the
mean absolute difference, each summed over both sources; the terms before each step, and sums of the state afterwards.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from vlfusion.testing.released import check_conversion
from vlfusion.testing.toys import take_one_step

pytest.importorskip('vlfusion_reconet', reason='pip install --editable plugins/reconet')

from vlfusion_reconet import PixelLoss, ReCoNet, StructureLoss

from vlfusion.config import load_config
from vlfusion.errors import ConfigError, DataError
from vlfusion.models.fusion_model import FusionModel
from vlfusion.registry import BACKBONES, MODELS
from vlfusion.testing import check_backbone

CONFIGS = Path(__file__).parents[1] / 'configs'
DATA = Path(__file__).parent / 'data'
IMAGES = np.load(DATA / 'released.npz')
NUMBERS = json.loads((DATA / 'released.json').read_text())


def draw_state(seed=5):
    """A random state under the released names, float64."""
    generator = np.random.default_rng(seed)
    state = {f'att_{source}_conv.weight': generator.normal(size=(1, 2, 3, 3)) for source in 'ab'}
    for name, dim, channels in (('dil_conv_1', 64, 3), ('dil_conv_2', 64, 3), ('dil_conv_3', 64, 3),
                                ('fus_conv', 1, 192)):
        state |= {f'{name}.0.weight': generator.normal(size=(dim, channels, 3, 3)) * np.sqrt(2 / (9 * channels)),
                  f'{name}.0.bias': generator.normal(size=dim) * 0.1,
                  f'{name}.1.weight': generator.uniform(0.5, 1.5, dim),
                  f'{name}.1.bias': generator.normal(size=dim) * 0.1 + (0.5 if dim == 1 else 0),
                  f'{name}.1.running_mean': generator.normal(size=dim) * 0.1,
                  f'{name}.1.running_var': generator.uniform(0.5, 1.5, dim),
                  f'{name}.1.num_batches_tracked': np.array(7)}
    return {name: torch.from_numpy(value) for name, value in state.items()}


@pytest.fixture
def sources():
    """Two pairs of 19x26, float64."""
    return torch.from_numpy(np.random.default_rng(11).random((2, 2, 1, 19, 26))).unbind()


def network(**options):
    net = BACKBONES.build(dict(type='vlfusion_reconet.ReCoNet', **options)).eval().double()
    net.load_state_dict(ReCoNet.convert_released(draw_state()))
    return net


@pytest.mark.parametrize(('loops', 'expected'), [(1, 'first'), (3, 'fused')])
def test_equals_the_released_network(sources, loops, expected):
    with torch.no_grad():
        fused = network(loops=loops)(*sources)[:, 0].numpy()
    assert IMAGES[expected].min() < -0.4  # what is clamped at the end and not between the loops
    np.testing.assert_allclose(fused, IMAGES[expected].clip(0, 1), rtol=0, atol=1e-7)


def test_training_equals_the_released_network_under_the_published_terms(sources):
    model = FusionModel(dict(type='vlfusion_reconet.ReCoNet'),
                        [dict(type='vlfusion_reconet.StructureLoss', weight=3.0),
                         dict(type='vlfusion_reconet.PixelLoss', weight=2.0)]).double().train()
    model.backbone.load_state_dict(ReCoNet.convert_released(draw_state()))
    before = {name: value.clone() for name, value in model.named_parameters()}
    # FusionModel takes losses in float32, so the terms are added up here.
    optimizer, terms = torch.optim.AdamW(model.parameters(), lr=1e-3), list(model.losses.values())
    totals = []
    for expected in NUMBERS['steps']:
        fused = model.backbone(*sources)
        structure, pixel = (term(fused, *sources) for term in terms)
        assert structure.item() == pytest.approx(expected['structure'], rel=1e-7)
        assert pixel.item() == pytest.approx(expected['pixel'], rel=1e-7)
        total = terms[0].weight * structure + terms[1].weight * pixel
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals == sorted(totals, reverse=True)
    assert all(not torch.equal(value, before[name]) for name, value in model.named_parameters())
    names = {'att_a_conv.weight': 'attend_a.conv.weight', 'dil_conv_3.0.weight': 'dilated.2.0.weight',
             'dil_conv_2.1.running_var': 'dilated.1.1.running_var', 'fus_conv.1.running_mean': 'merge.1.running_mean'}
    state = model.backbone.state_dict()
    for released, total in NUMBERS['sums'].items():
        assert state[names[released]].sum().item() == pytest.approx(total, rel=1e-7)
    assert state['merge.1.num_batches_tracked'] == 7 + 4 * 3


@pytest.mark.slow
def test_what_every_backbone_must_do():
    torch.manual_seed(0)
    check_backbone(ReCoNet())
    check_backbone(ReCoNet(loops=1, dim=4), size=(5, 3))


def test_parameter_count():
    assert sum(parameter.numel() for parameter in ReCoNet().parameters()) == 7_527


def test_only_evaluation_clamps(sources):
    net = network()
    with torch.no_grad():
        assert net(*sources).min() == 0
        assert net.train()(*sources).min() < -0.4


def test_the_sources_are_not_interchangeable(sources):
    with torch.no_grad():
        assert (network()(*sources) - network()(*sources[::-1])).abs().max() > 1e-2


def test_at_least_one_loop():
    with pytest.raises(ConfigError, match='loops=0'):
        ReCoNet(loops=0)


def test_states_of_another_network_are_refused():
    state = draw_state()
    converted = check_conversion(ReCoNet(), state, missing='fus_conv.0.bias', unknown='dil_conv_4.0.bias')
    assert torch.equal(converted['dilated.1.0.weight'], state['dil_conv_2.0.weight'])


def test_losses_by_hand():
    fused, a, b = (torch.full((1, 1, 8, 9), value, dtype=torch.float64) for value in (0.5, 0.2, 0.9))
    assert PixelLoss()(fused, a, b).item() == pytest.approx(0.3 + 0.4)
    c1 = 0.01**2
    similar_a, similar_b = ((2 * 0.5 * s + c1) / (0.5**2 + s**2 + c1) for s in (0.2, 0.9))
    assert StructureLoss()(fused, a, b).item() == pytest.approx(1 - (similar_a + similar_b) / 2)
    assert StructureLoss()(a, a, a).item() == pytest.approx(0, abs=1e-9)
    with pytest.raises(DataError, match='at least 6x6'):
        StructureLoss()(a[..., :5], a[..., :5], a[..., :5])


def test_the_sample_config_builds_its_model():
    model = MODELS.build(load_config(CONFIGS / 'reconet_ivf_sample.py').model)
    assert isinstance(model.backbone, ReCoNet) and len(model.losses) == 2


@pytest.mark.slow
def test_the_published_config_takes_one_step(tmp_path):
    options = {'model.backbone.dim': 4, 'train_dataloader.dataset.pipeline.1.transforms.0.size': (40, 40)}
    take_one_step(CONFIGS / 'reconet_ivf.py', tmp_path, (44, 50), **options)
