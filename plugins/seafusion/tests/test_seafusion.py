from pathlib import Path

import numpy as np
import pytest
import torch

from vlfusion.testing.released import check_conversion
from vlfusion.testing.shared import shared
from vlfusion.testing.toys import take_one_step

pytest.importorskip('vlfusion_seafusion', reason='pip install --editable plugins/seafusion')

from vlfusion_seafusion import SeAFusion
from vlfusion_seafusion.model import GradientResidualDenseBlock

from vlfusion.config import load_config
from vlfusion.engine.compat import load_checkpoint_file
from vlfusion.imaging.images import luminance, read_image
from vlfusion.imaging.protocol import get_protocol
from vlfusion.models.fusion_model import FusionModel
from vlfusion.registry import BACKBONES
from vlfusion.testing import check_backbone
from vlfusion.zoo.entries import get_model

CONFIGS = sorted(Path(__file__).parents[1].glob('configs/*.py'))
CONTENT_LOSS = [dict(type='MaxIntensityLoss', weight=1.0), dict(type='MaxGradientLoss', weight=10.0)]


@pytest.fixture(scope='module')
def released():
    return load_checkpoint_file(shared('zoo/seafusion/SeAFusion.pth'))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return BACKBONES.build(dict(type='vlfusion_seafusion.SeAFusion'))


def sources(batch=1, size=(20, 27), seed=0):
    return torch.rand(2, batch, 1, *size, generator=torch.Generator().manual_seed(seed)).unbind()


def test_equals_the_authors_fused_image(released, network):
    network.load_state_dict(SeAFusion.convert_released(released))
    infrared, visible = (torch.from_numpy(luminance(read_image(shared(f'zoo/seafusion/ivf_08_{kind}.png'))))[None, None]
                         for kind in ('infrared', 'visible'))
    with torch.no_grad():
        fused = get_protocol(get_model('seafusion-ivf').protocol).quantise(network(infrared, visible))[0, 0].numpy()
    theirs = np.round(luminance(read_image(shared('zoo/seafusion/ivf_08_fused.png'))) * 255)
    difference = np.abs(fused.astype(int) - theirs)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-4


@pytest.mark.slow
def test_what_every_backbone_must_do(network):
    check_backbone(network)


def test_parameters(network):
    assert sum(parameter.numel() for parameter in network.parameters()) == 166_657


def test_the_sources_are_not_interchangeable(network):
    a, b = sources()
    assert (network(a, b) - network(b, a)).abs().max() > 1e-3


def test_gradients_begin_as_sobels():
    block = GradientResidualDenseBlock(2, 4)
    ramp = torch.arange(7.).expand(1, 2, 5, 7)
    along, across = (convolution(ramp)[..., 1:-1, 1:-1].abs() for convolution in (block.gradient_x, block.gradient_y))
    assert (along == 8).all() and (across == 0).all()  # 2 * (1 + 2 + 1), as the ramp climbs by 2 over the kernel


def test_prefixed_states_convert(released, network):
    converted = SeAFusion.convert_released({f'module.{name}': value for name, value in released.items()})
    network.load_state_dict(converted)
    assert len(converted) == 52
    assert torch.equal(network.encoder_a[0].weight, released['inf_conv.conv.weight'])
    assert torch.equal(network.encoder_b[3].dense2.bias, released['vis_rgbd2.dense.conv2.conv.bias'])


def test_states_of_another_network_are_refused(released, network):
    check_conversion(network, released, missing='decode1.conv.bias', unknown='vis_rgbd3.convup')


def test_training_lowers_the_content_loss_and_trains_the_gradient_filters():
    torch.manual_seed(0)
    model = FusionModel(dict(type='vlfusion_seafusion.SeAFusion'), CONTENT_LOSS)
    batch = dict(zip(('source_a', 'source_b'), sources(batch=2, size=(24, 24)), strict=True))
    filters = model.backbone.encoder_a[2].gradient_x.weight
    before = filters.detach().clone()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    totals = []
    for _ in range(10):
        terms = model(**batch, mode='loss')
        assert terms['loss'].item() == pytest.approx((terms['max_intensity'] + 10 * terms['max_gradient']).item())
        totals.append(terms['loss'].item())
        optimizer.zero_grad()
        terms['loss'].backward()
        optimizer.step()
    assert totals[-1] < 0.95 * totals[0]
    assert not torch.equal(filters, before)


@pytest.mark.slow
@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config_takes_one_step(path, tmp_path):
    take_one_step(path, tmp_path, (72, 80))


def test_the_schedule_is_the_released_one():
    config = load_config(CONFIGS[-1])
    assert CONFIGS[-1].stem == 'seafusion_msrs'
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=config.optim_wrapper.optimizer.lr)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, config.param_scheduler[0].step_size,
                                                config.param_scheduler[0].gamma)
    rates = []
    for _ in range(config.train_cfg.max_iters):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        scheduler.step()
    assert rates[::135] == pytest.approx([1e-3 * 0.75 ** (epoch - 1) for epoch in range(10)])
