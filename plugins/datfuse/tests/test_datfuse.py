import math
from pathlib import Path

import numpy as np
import pytest
import torch

from vlfusion.testing.released import check_conversion
from vlfusion.testing.shared import shared
from vlfusion.testing.toys import take_one_step

pytest.importorskip('vlfusion_datfuse', reason='pip install --editable plugins/datfuse')

from vlfusion_datfuse import DATFuse, GradientLoss, PixelLoss, StructureLoss

from vlfusion.config import load_config
from vlfusion.engine.compat import load_checkpoint_file
from vlfusion.errors import DataError
from vlfusion.imaging.images import luminance, read_image
from vlfusion.imaging.protocol import get_protocol
from vlfusion.models.fusion_model import FusionModel
from vlfusion.registry import BACKBONES
from vlfusion.testing import check_backbone
from vlfusion.zoo.entries import get_model

CONFIGS = sorted(Path(__file__).parents[1].glob('configs/*.py'))
LOSSES = [dict(type='vlfusion_datfuse.PixelLoss', weight=1.0), dict(type='vlfusion_datfuse.GradientLoss', weight=100.0),
          dict(type='vlfusion_datfuse.StructureLoss', weight=10.0)]


@pytest.fixture(scope='module')
def released():
    return load_checkpoint_file(shared('zoo/datfuse/model_10.pth'))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return BACKBONES.build(dict(type='vlfusion_datfuse.DATFuse')).eval()


def sources(batch=1, size=(20, 27), seed=0):
    return torch.rand(2, batch, 1, *size, generator=torch.Generator().manual_seed(seed)).unbind()


def constant(*values, size=(16, 16)):
    return (torch.full((1, 1, *size), value) for value in values)


@pytest.mark.slow
def test_equals_the_authors_fused_image(released, network):
    network.load_state_dict(DATFuse.convert_released(released))
    infrared, visible = (torch.from_numpy(luminance(read_image(shared(f'zoo/datfuse/ivf_2_{kind}.bmp'))))[None, None]
                         for kind in ('infrared', 'visible'))
    with torch.no_grad():
        fused = get_protocol(get_model('datfuse-ivf').protocol).quantise(network(infrared, visible))[0, 0].numpy()
    difference = np.abs(fused.astype(int) - read_image(shared('zoo/datfuse/ivf_2_fused.bmp')))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


def test_what_every_backbone_must_do(network):
    with torch.no_grad():  # or all four hidden units of the channel attention may be dead at the start
        network.attend.channel[1].bias.fill_(1)
    check_backbone(network)


def test_what_every_backbone_must_do_holds_for_the_released_weights(released, network):
    network.load_state_dict(DATFuse.convert_released(released))
    check_backbone(network)


def test_parameters(network):
    assert sum(parameter.numel() for parameter in network.parameters()) == 9_464


def test_the_sources_are_not_interchangeable(released, network):
    network.load_state_dict(DATFuse.convert_released(released))
    a, b = sources()
    assert (network(a, b) - network(b, a)).abs().max() > 1e-3


def test_only_evaluation_clamps(network):
    with torch.no_grad():
        network.project.bias.fill_(-2)
        a, b = sources(batch=2)
        assert network(a, b).min() == 0
        assert network.train()(a, b).min() < -0.5


def test_prefixed_states_convert_and_keep_the_values_of_the_attention(released, network):
    converted = DATFuse.convert_released({f'module.{name}': value for name, value in released.items()})
    network.load_state_dict(converted)
    assert len(converted) == 58
    qkv = released['basicLayer.blocks.1.attn.qkv.weight']
    assert torch.equal(network.transformer[1].value.weight, qkv[32:])


def test_a_window_of_one_token_needs_no_queries_and_keys(released, network):
    network.load_state_dict(DATFuse.convert_released(released))
    block, tokens = network.transformer[0], torch.randn(1, 5, 16, generator=torch.Generator().manual_seed(0))
    attention = torch.nn.MultiheadAttention(16, 8, batch_first=True)
    attention.load_state_dict({
        'in_proj_weight': released['basicLayer.blocks.0.attn.qkv.weight'],
        'in_proj_bias': released['basicLayer.blocks.0.attn.qkv.bias'],
        'out_proj.weight': released['basicLayer.blocks.0.attn.proj.weight'],
        'out_proj.bias': released['basicLayer.blocks.0.attn.proj.bias']})
    alone = tokens.transpose(0, 1)  # five windows of one token
    torch.testing.assert_close(block.project(block.value(alone)), attention(alone, alone, alone)[0])


def test_states_of_another_network_are_refused(released, network):
    check_conversion(network, released, missing='fem.conv.bias', unknown='basicLayer.blocks.2.norm1.weight')


def test_pixel_loss_by_hand():
    assert PixelLoss()(*constant(0.5, 0.2, 0.9)).item() == pytest.approx(0.3**2 + 0.4**2)


def test_gradient_loss_by_hand():
    fused, a, b = (torch.zeros(1, 1, 8, 8) for _ in range(3))
    fused[0, 0, 3, 0] = 1  # at the left: two columns of the kernels' sum, -4 in all
    a[0, 0, 0, 3] = 1  # at the top: two rows of it, 4 in all
    b[0, 0, 3, 3] = 1  # inside: all of it, 0
    assert GradientLoss()(fused, a, b).item() == pytest.approx((4 + 4) / 64)
    assert GradientLoss()(b, fused, fused).item() == pytest.approx(4 / 64)


def test_gradient_loss_sees_the_border_alone():
    fused, a = sources(size=(16, 16))
    other = fused.clone()
    other[..., 1:-1, 1:-1] = 0
    assert GradientLoss()(other, a, a).item() == pytest.approx(GradientLoss()(fused, a, a).item(), abs=1e-6)


def test_structure_loss_by_hand():
    fused, a, b = constant(0.5, 0.2, 0.9)
    c1 = 0.01**2
    expected = 1 - (2 * 0.5 * 0.9 + c1) / (0.5**2 + 0.9**2 + c1)
    assert StructureLoss()(fused, a, b).item() == pytest.approx(expected, abs=1e-3)
    a, b = sources(size=(16, 16))
    assert StructureLoss()(torch.maximum(a, b), a, b).item() == pytest.approx(0, abs=1e-6)
    with pytest.raises(DataError, match='at least 11x11'):
        StructureLoss()(*constant(0.5, 0.2, 0.9, size=(8, 16)))


def test_training_lowers_the_loss():
    torch.manual_seed(0)
    model = FusionModel(dict(type='vlfusion_datfuse.DATFuse'), LOSSES)
    batch = dict(zip(('source_a', 'source_b'), sources(batch=4, size=(24, 24)), strict=True))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    totals = []
    for _ in range(20):
        terms = model(**batch, mode='loss')
        expected = terms['pixel'] + 100 * terms['gradient'] + 10 * terms['structure']
        assert terms['loss'].item() == pytest.approx(expected.item(), rel=1e-5) and math.isfinite(expected)
        totals.append(terms['loss'].item())
        optimizer.zero_grad()
        terms['loss'].backward()
        optimizer.step()
    assert totals[-1] < 0.95 * totals[0]


@pytest.mark.slow
@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config_takes_one_step(path, tmp_path):
    take_one_step(path, tmp_path, (128, 136))


def test_the_schedule_has_as_many_steps_as_the_released_weights(released):
    config = load_config(CONFIGS[-1])
    assert CONFIGS[-1].stem == 'datfuse_tno'
    assert config.train_cfg.max_iters == released['convolutional.bn.num_batches_tracked']
