"""LRRNet against numbers of the authors' released code.

The numbers in `data/` were made by it once, in float64, from the states and images that `drawn_state` and `images`
draw: `released_forward.npz` by its network between the stretches of its scripts, `released_steps.json` by four steps of
its training with the term on pixels alone.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from vlfusion.testing.released import check_conversion
from vlfusion.testing.toys import take_one_step

pytest.importorskip('vlfusion_lrrnet', reason='pip install --editable plugins/lrrnet')

from vlfusion_lrrnet import LRRNet, VisibleLoss  # noqa: E402

from vlfusion.engine.checkpoints import load_model
from vlfusion.engine.released import convert_released, find_released
from vlfusion.errors import CheckpointError, DataError
from vlfusion.models.fusion_model import FusionModel
from vlfusion.registry import OPTIM_WRAPPERS
from vlfusion.testing import check_backbone
from vlfusion.zoo.entries import get_model

CONFIG = Path(__file__).parents[1] / 'configs/lrrnet_ivf_sample.py'
DATA = Path(__file__).parent / 'data'
#: The shapes of the released kernels, which have one bias for each output.
SHAPES = {f'decoder.conv_Re{part}': (1, channels, 3, 3)
          for parts, channels in ((('Zx', 'Ux', 'Zy', 'Uy'), 128), (('L', 'H'), 2)) for part in parts}
for _source in ('get_ls1', 'get_ls2'):
    SHAPES[f'{_source}.conv_W00'] = (256, 1, 3, 3)
    for _block in range(4):
        SHAPES[f'{_source}.lrrblock{_block}.conv_Wdz'] = (1, 256, 3, 3)
        SHAPES[f'{_source}.lrrblock{_block}.conv_Wdtz'] = (256, 1, 3, 3)


def drawn_state(seed=7):
    """A random state in the released names; some thresholds are negative, as training may make them."""
    shapes = {f'get_ls{i}.lam{kind}': (1, size) for i in (1, 2) for kind, size in (('j', 256), ('z', 1))}
    for name, shape in SHAPES.items():
        shapes |= {f'{name}.conv2d.weight': shape, f'{name}.conv2d.bias': shape[:1]}
    generator = np.random.default_rng(seed)
    state = {}
    for name in sorted(shapes):
        shape = shapes[name]
        if name.endswith('lamj'):
            drawn = generator.uniform(-0.02, 0.15, shape)
        elif name.endswith('lamz'):
            drawn = generator.uniform(0.3, 0.9, shape)
        else:
            drawn = generator.normal(0, 0.5 / np.sqrt(np.prod(shape[1:])) if len(shape) == 4 else 0.1, shape)
        state[name] = torch.from_numpy(drawn)
    return state


def images():
    """Two pairs of grey levels."""
    generator = np.random.default_rng(11)
    return [torch.from_numpy(generator.integers(low, high, (2, 1, 18, 23)).astype(float)) / 255
            for low, high in ((20, 220), (0, 256))]


@pytest.fixture
def lrrnet():
    network = LRRNet().double().eval()
    network.load_state_dict(LRRNet.convert_released(drawn_state()))
    return network


def test_equals_the_released_network(lrrnet):
    a, b = images()
    expected = torch.from_numpy(np.load(DATA / 'released_forward.npz')['fused'])
    with torch.no_grad():
        torch.testing.assert_close(lrrnet(a, b), expected, rtol=0, atol=1e-12)
        torch.testing.assert_close(lrrnet.float()(a.float(), b.float()).double(), expected, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_steps_on_the_pixel_term_equal_the_released_ones():
    expected = json.loads((DATA / 'released_steps.json').read_text())
    a, b = images()
    model = FusionModel(dict(type='vlfusion_lrrnet.LRRNet'), [dict(type='vlfusion_lrrnet.VisibleLoss')]).double()
    model.backbone.load_state_dict(LRRNet.convert_released(drawn_state()))
    before = {name: value.clone() for name, value in model.named_parameters()}
    adam = torch.optim.Adam(model.parameters(), 1e-5, weight_decay=0.9)
    wrapper = OPTIM_WRAPPERS.build(dict(type='OptimWrapper', optimizer=adam))
    losses = []
    for _ in expected['losses']:
        # `train_step` would compute the loss in float32
        fused = model(a, b)
        loss = 10 * VisibleLoss()(fused, a, b)
        wrapper.update_params(loss)
        losses.append(loss.item())
    assert losses == pytest.approx(expected['losses'], rel=1e-9) and losses[-1] < losses[0]
    assert all(not torch.equal(value, before[name]) for name, value in model.named_parameters())
    with torch.no_grad():
        assert model(a, b).flatten(1).std(1).tolist() == pytest.approx(expected['after'], rel=1e-9)


def test_visible_loss_by_hand():
    fused, a, b = (torch.full((1, 1, 4, 4), value) for value in (0.5, 0.9, 0.3))
    assert VisibleLoss()(fused, a, b).item() == pytest.approx(51**2)
    assert VisibleLoss().weight == 10


def test_what_every_backbone_must_do():
    torch.manual_seed(0)
    check_backbone(LRRNet(dim=8))


def test_parameter_count():
    assert sum(parameter.numel() for parameter in LRRNet().parameters()) == 49_198


def test_neither_contrast_nor_brightness_of_a_source_matters(lrrnet):
    a, b = images()
    with torch.no_grad():
        fused = lrrnet(a, b)
        torch.testing.assert_close(lrrnet(0.2 + 0.5 * a, 0.3 * b), fused, rtol=0, atol=1e-5)
        assert (lrrnet(b, a) - fused).abs().max() > 0.05
    assert fused.amin((1, 2, 3)).tolist() == [0, 0]
    assert fused.amax((1, 2, 3)).tolist() == pytest.approx([1, 1], abs=1e-4)


def test_codes_are_sparse_where_thresholds_are_high(lrrnet):
    a, _ = images()
    with torch.no_grad():
        lrrnet.represent_a.threshold[:128] = 100
        low, sparse = lrrnet.represent_a(a)
    assert not low.any() and sparse.any()


def test_a_single_row_is_refused(lrrnet):
    row = torch.zeros(1, 1, 1, 20, dtype=torch.float64)
    with pytest.raises(DataError, match='at least 2x2'):
        lrrnet(row, row)


def test_states_of_another_network_are_refused():
    check_conversion(LRRNet(), drawn_state(), missing='get_ls2.lamz', unknown='get_ls1.lrrblock4.conv_Wdz.conv2d.bias')


def test_a_checkpoint_of_a_released_state_says_how_it_becomes_grey_levels(tmp_path):
    torch.save(drawn_state(), tmp_path / 'theirs.model')
    convert_released('vlfusion_lrrnet.LRRNet', tmp_path / 'theirs.model', tmp_path / 'ours.pth', 'ivf')
    converted, experiment = load_model(tmp_path / 'ours.pth')
    assert experiment['protocol'] == 'truncate' and isinstance(converted.backbone, LRRNet)
    with pytest.raises(CheckpointError, match=r'epoch_4_block_4\.model is missing'):
        find_released(get_model('lrrnet-ivf'), tmp_path)


@pytest.mark.slow
def test_the_sample_config_takes_one_step(tmp_path):
    take_one_step(CONFIG, tmp_path, (70, 80), **{'model.backbone.dim': 2})
