"""SAGE's small network against the released code, whose results are in data/released.json; no released file is read.

The numbers were made once by the released network and loss, in float64 on torch 2.14, with the state of `draw` and the
images of the tests: `fused` in evaluation mode, not clamped; `losses` the squared errors `3 MSE(F, B) + 2 MSE(F, A)`
and the gradient term; `steps` three steps of Adam (2e-3) in training mode by `3 (...) + 3 * 9 gradient`, the released
loss without the terms that compare with the teacher.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from vlfusion.errors import DataError
from vlfusion.losses import MaxGradientLoss
from vlfusion.models import FusionModel
from vlfusion.registry import OPTIM_WRAPPERS
from vlfusion.testing import check_backbone
from vlfusion.testing.released import check_conversion
from vlfusion.testing.toys import take_one_step

pytest.importorskip('vlfusion_sage', reason='pip install --editable plugins/sage')
from vlfusion_sage import SAGE, SourceLoss  # noqa: E402
from vlfusion_sage.model import _released_name  # noqa: E402

CONFIG = Path(__file__).parents[1] / 'configs/sage_ivf_sample.py'
EXPECTED = json.loads((Path(__file__).parent / 'data/released.json').read_text())


def draw(shapes, seed=1):
    """A state of the released network, in the order of its names, scaled so that activations stay near 1."""
    rng, state = np.random.default_rng(seed), {}
    for name in sorted(shapes):
        shape = shapes[name]
        if len(shape) == 4:
            value = rng.standard_normal(shape) * np.prod(shape[1:]) ** -0.5
        elif name.endswith('running_var'):
            value = rng.uniform(0.5, 1.5, shape)
        elif name.endswith('num_batches_tracked'):
            value = np.zeros(shape, np.int64)
        else:
            value = 0.1 * rng.standard_normal(shape) + name.endswith('.weight')
        state[name] = torch.from_numpy(np.asarray(value))
    return state


@pytest.fixture(scope='module')
def released():
    return draw({_released_name(name): value.shape for name, value in SAGE().state_dict().items()})


@pytest.fixture
def sage(released):
    sage = SAGE().double().eval()
    sage.load_state_dict(SAGE.convert_released(released))
    return sage


def images(number, size, seed):
    return torch.from_numpy(np.random.default_rng(seed).random((number, 2, 1, *size)))


def test_equals_the_released_network_from_a_drawn_state(sage):
    expected = torch.tensor(EXPECTED['fused'], dtype=torch.float64).view(2, 1, 13, 18)
    assert expected.min() < -0.05  # there is something to clamp
    with torch.no_grad():
        fused = sage(*images(2, (13, 18), seed=2))
    torch.testing.assert_close(fused, expected.clamp(min=0), rtol=0, atol=1e-8)


def test_loss_terms_equal_the_released_ones():
    fused, a, b = images(3, (12, 15), seed=3)
    assert [SourceLoss()(fused, a, b).item(), MaxGradientLoss()(fused, a, b).item()] \
        == pytest.approx(EXPECTED['losses'], rel=1e-8)


def test_three_steps_equal_the_released_ones_and_move_every_parameter(sage):
    before = {name: value.clone() for name, value in sage.named_parameters()}
    model = FusionModel(dict(type='vlfusion_sage.SAGE'),
                        [dict(type='vlfusion_sage.SourceLoss', weight=3.0), dict(type='MaxGradientLoss', weight=27.0)])
    model.backbone = sage.train()
    wrapper = OPTIM_WRAPPERS.build(dict(type='OptimWrapper', optimizer=torch.optim.Adam(model.parameters(), 2e-3)))
    _, a, b = images(3, (12, 15), seed=3)
    losses = [model.train_step(dict(source_a=a, source_b=b, name=['1', '2']), wrapper)['loss'].item() for _ in range(3)]
    assert losses == pytest.approx(EXPECTED['steps'], rel=1e-5)  # the model computes its losses in float32
    assert [name for name, value in sage.named_parameters() if torch.equal(value, before[name])] == []


def test_only_evaluation_clamps(sage):
    a, b = images(2, (13, 18), seed=2)
    with torch.no_grad():
        assert sage(a, b).min() == 0
        assert sage.train()(a, b).min() < 0


@pytest.mark.slow
def test_what_every_backbone_must_do():
    torch.manual_seed(0)
    check_backbone(SAGE())


def test_odd_sizes_and_the_smallest(sage):
    a, b = images(2, (4, 7), seed=0)
    assert sage(a, b).shape == (2, 1, 4, 7)
    with pytest.raises(DataError, match='at least 4x4'):
        sage(a[..., :3, :], b[..., :3, :])


def test_parameter_count():
    assert sum(parameter.numel() for parameter in SAGE().parameters()) == 135_617


def test_states_of_another_network_are_refused(released):
    check_conversion(SAGE(), released, missing='module4.3.bias', unknown='module6.0.bias')


@pytest.mark.slow
def test_config_takes_one_step(tmp_path):
    take_one_step(CONFIG, tmp_path, (64, 72))
