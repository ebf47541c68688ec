"""SDNet against numbers of the released network.

`data/released.npz` was made once: the released graphs, on TensorFlow 2.21 in float32, got `drawn_state()` and
`drawn_images()`. For each task it holds the fused image and both decomposed ones in [-1, 1], the terms of the loss, and
the loss in five steps of the released optimizer (Adam 1e-4).
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from vlfusion.config import load_config
from vlfusion.engine.checkpoints import load_model
from vlfusion.errors import CheckpointError
from vlfusion.registry import MODELS, OPTIM_WRAPPERS
from vlfusion.testing import check_backbone
from vlfusion.testing.toys import take_one_step
from vlfusion.zoo.entries import get_model

pytest.importorskip('vlfusion_sdnet', reason='pip install --editable plugins/sdnet')
from vlfusion_sdnet import Decomposition, SDNet, SDNetModel, adaptive_gradient_loss, intensity_loss  # noqa: E402

CONFIGS = Path(__file__).parents[1] / 'configs'
RELEASED = np.load(Path(__file__).parent / 'data/released.npz')
TASKS = ['ivf', 'mif', 'mef', 'mff']
SHAPES = {'layer1_{}/*1_{}': (5, 5, 1, 16), 'layer2_{}/*2_{}': (3, 3, 16, 16), 'layer3_{}/*3_{}': (3, 3, 32, 16),
          'layer4_{}/*4_{}': (3, 3, 48, 16), 'layer5_fuse/*5_fuse': (1, 1, 128, 1),
          'layer6_sept/*6_sept': (1, 1, 1, 128), 'layer7_{}/*7_{}': (3, 3, 128, 16), 'layer8_{}/*8_{}': (3, 3, 16, 4),
          'layer9_{}/*9_{}': (3, 3, 4, 1)}


def drawn_state(seed=0):
    """A float32 state under the released names, in their order, kernels as (height, width, in, out)."""
    rng = np.random.default_rng(seed)
    shapes = {}
    for pattern, shape in SHAPES.items():
        for source in ('ir', 'vi'):
            for letter, size in (('w', shape), ('b', shape[-1:])):
                shapes['fusion_model/' + pattern.replace('*', letter).format(source, source)] = size
    return {name: rng.normal(0, 0.1 if len(shape) == 1 else 1.2 / np.sqrt(np.prod(shape[:-1])), shape).astype('float32')
            for name, shape in sorted(shapes.items())}


def drawn_images(side=22, seed=1):
    """Two float32 batches `(2, 1, side, side + 3)` in [-1, 1]: what first and second branch get."""
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1, 1, (2, 1, side, side + 3)).astype('float32') for _ in range(2)]


def tensors():
    return {name: torch.from_numpy(value) for name, value in drawn_state().items()}


def drawn(**arguments):
    net = SDNet(**arguments).eval()
    net.load_state_dict(SDNet.convert_released(tensors()))
    return net


def drawn_batch(swap=False):
    first, second = ((torch.from_numpy(image) + 1) / 2 for image in drawn_images())
    return dict(source_a=second, source_b=first) if swap else dict(source_a=first, source_b=second)


def test_equals_the_released_network_with_a_drawn_state():
    decomposition = Decomposition()
    decomposition.load_state_dict(Decomposition.convert_released(tensors()))
    with torch.no_grad():
        fused = drawn()(**drawn_batch())
        parts = decomposition(fused)
    for name, ours in zip(('fused', 'first', 'second'), (fused, *parts), strict=True):
        np.testing.assert_allclose(2 * ours.numpy() - 1, RELEASED[name], rtol=0, atol=3e-6)
        assert RELEASED[name].std() > 0.05


@pytest.mark.parametrize('task', TASKS)
def test_loss_and_steps_equal_those_of_the_released_script(task):
    model = MODELS.build(load_config(CONFIGS / f'sdnet_{task}.py').model).train()
    model.backbone.load_state_dict(SDNet.convert_released(tensors()))
    model.decomposition.load_state_dict(Decomposition.convert_released(tensors()))
    optimizer = load_config(CONFIGS / f'sdnet_{task}.py').optim_wrapper.optimizer
    wrapper = OPTIM_WRAPPERS.build(dict(type='OptimWrapper', optimizer=torch.optim.Adam(
        model.parameters(), lr=optimizer.lr)))
    before = {name: value.clone() for name, value in model.named_parameters()}
    batch = drawn_batch(model.backbone.swap)
    assert model.backbone.swap == get_model(f'sdnet-{task}').arguments['swap']
    logged = [model.train_step(batch, wrapper) for _ in range(5)]
    for name in ('intensity', 'gradient', 'decomposition'):
        np.testing.assert_allclose(logged[0][name].item(), RELEASED[f'{task}_{name}'], rtol=1e-5)
    np.testing.assert_allclose([terms['loss'].item() for terms in logged], RELEASED[f'{task}_losses'], rtol=1e-5)
    assert logged[-1]['loss'] < logged[0]['loss']
    assert all(not torch.equal(value, before[name]) for name, value in model.named_parameters())


@pytest.mark.parametrize('swap', [False, True])
def test_what_every_backbone_must_do(swap):
    check_backbone(drawn(swap=swap))


def test_swapping_exchanges_the_sources():
    batch = drawn_batch()
    with torch.no_grad():
        there, back = drawn()(**batch), drawn(swap=True)(batch['source_b'], batch['source_a'])
    assert torch.equal(there, back) and not torch.equal(there, drawn(swap=True)(**batch))


def test_parameter_count_and_initial_weights():
    torch.manual_seed(0)
    halves = SDNet(), Decomposition()
    counts = [sum(parameter.numel() for parameter in half.parameters()) for half in halves]
    assert counts == [28_705, 38_386] and sum(counts) == 67_091
    weight = halves[1].decompose_first[0].weight
    assert weight.abs().max() <= 2e-3 and weight.std().item() == pytest.approx(0.88e-3, rel=0.02)  # truncated normal
    assert not halves[0].fuse.bias.any()


def test_the_data_file_of_a_tensorflow_checkpoint_is_read_and_converts(tmp_path):
    path = tmp_path / 'IRVIS.model-10.data-00000-of-00001'
    path.write_bytes(b''.join(value.tobytes() for value in drawn_state().values()))
    assert path.stat().st_size == 268_364
    state = SDNet.read_released(path)
    assert state.keys() == drawn_state().keys()
    assert all(torch.equal(state[name], value) for name, value in tensors().items())
    with pytest.raises(CheckpointError, match='expected 268364 bytes, it is missing'):
        SDNet.read_released(tmp_path / 'absent')
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(CheckpointError, match='expected 268364 bytes, it is 268360 bytes'):
        SDNet.read_released(path)


def test_states_of_another_network_are_refused():
    state = tensors()
    missing = {name: value for name, value in state.items() if not name.endswith('b9_ir')}
    with pytest.raises(CheckpointError, match=r'lacks 1 of its names:\n +fusion_model/layer9_ir/b9_ir'):
        SDNet.convert_released(missing)
    with pytest.raises(CheckpointError, match=r'has 1 unknown names:\n +beta1_power'):
        Decomposition.convert_released({**state, 'beta1_power': torch.zeros(())})


def test_losses_by_hand():
    zero = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
    assert intensity_loss(zero, zero + 0.2, zero - 0.4, 0.5).item() == pytest.approx(0.04 + 0.5 * 0.16)
    spot = zero.clone()
    spot[..., 4, 4] = 1
    # The Laplacian of the spot is -4 there and 1 at four neighbours; it wins wherever its blurred gradient is larger.
    assert adaptive_gradient_loss(zero, zero, spot).item() == pytest.approx(20 / 81)
    assert adaptive_gradient_loss(zero, spot, zero).item() == pytest.approx(20 / 81)
    assert adaptive_gradient_loss(spot, zero, spot).item() == 0
    # Beyond the border all is 0: a constant image of 1 has gradient -1 at its edges and -2 at its corners.
    one = torch.ones_like(zero)
    assert adaptive_gradient_loss(one, zero, zero).item() == pytest.approx((4 * 7 + 4 * 4) / 81)


def test_modes_other_than_loss_fuse_and_a_checkpoint_loads(tmp_path):
    config = dict(type='vlfusion_sdnet.SDNetModel', backbone=dict(type='vlfusion_sdnet.SDNet', dim=4))
    model = MODELS.build(config).eval()
    batch = dict(drawn_batch(), name=['1', '2'])
    with torch.no_grad():
        fused = model(**batch)
        predicted = model(**batch, mode='predict')
    assert predicted[1]['name'] == '2' and torch.equal(predicted[1]['fused'], fused[1])
    torch.save(dict(state_dict=model.state_dict(), meta=dict(vlfusion=dict(task='ivf', model=config))),
               tmp_path / 'sdnet.pth')
    with torch.no_grad():
        assert torch.equal(load_model(tmp_path / 'sdnet.pth')[0](**batch), fused)


@pytest.mark.parametrize('path', sorted(CONFIGS.glob('*.py')), ids=lambda path: path.stem)
def test_a_config_builds_its_model(path):
    model = MODELS.build(load_config(path).model)
    assert isinstance(model, SDNetModel) and model.backbone.swap == (path.stem in ('sdnet_mif', 'sdnet_mef'))


@pytest.mark.slow
def test_a_config_takes_one_step(tmp_path):
    take_one_step(CONFIGS / 'sdnet_ivf.py', tmp_path, (120, 122), **{'model.backbone.dim': 4})
