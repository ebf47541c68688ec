from urllib.error import URLError

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torchvision.models import VGG16_Weights, vgg

from vlfusion.config import load_config
from vlfusion.engine.runner import build_runner
from vlfusion.errors import CheckpointError, ConfigError
from vlfusion.imaging.images import add_chroma, luminance, read_image
from vlfusion.imaging.quantise import quantise
from vlfusion.metrics.ssim import ssim_to_truth
from vlfusion.registry import BACKBONES, LOSSES, MODELS, TRANSFORMS
from vlfusion.testing import check_backbone
from vlfusion.testing.shared import shared
from vlfusion.testing.toys import draw_pairs
from vlfusion.zoo.entries import get_model

plugin = pytest.importorskip('vlfusion_u2fusion', reason='pip install --editable plugins/u2fusion')
U2Fusion = plugin.U2Fusion


@pytest.fixture(scope='module')
def released():
    return load_file(shared('zoo/u2fusion/model.safetensors'))


@pytest.fixture(scope='module')
def landscape(released):
    """Both exposures and the fused file, in colour, and our 8-bit luminance of the same pair."""
    over, under, expected = (read_image(shared(f'zoo/u2fusion/mef_landscape_{name}.png'))
                             for name in ('over', 'under', 'fused'))
    backbone = U2Fusion(**get_model('u2fusion-mef').arguments)
    backbone.load_state_dict(U2Fusion.convert_released(released))
    sources = [torch.from_numpy(luminance(image))[None, None] for image in (over, under)]
    with torch.no_grad():
        fused = backbone(*sources)
    return over, under, expected, quantise(fused, 'clip', 'truncate')[0, 0].numpy()


@pytest.fixture(autouse=True, scope='module')
def slim_vgg():
    """VGG-16 with an eighth of its channels, and so in a moment; its layers keep their places."""
    slim = [width if width == 'M' else width // 8 for width in vgg.cfgs['D']]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(vgg.cfgs, 'D', slim)
        yield


@pytest.fixture(scope='module')
def loss(slim_vgg):
    torch.manual_seed(0)
    return LOSSES.build(dict(type='vlfusion_u2fusion.InformationPreservationLoss', pretrained=False))


def pair(batch=1, size=(20, 27), seed=0):
    return torch.rand(2, batch, 1, *size, generator=torch.Generator().manual_seed(seed)).unbind()


@pytest.mark.slow
def test_reproduces_the_file_of_the_released_code(landscape):
    """Through the released colour step, whose luminance is ours: it is lossless but for rounding, so equal files mean
    equal luminance. One level of luminance is up to two of a channel, for chroma is rounded with it."""
    over, under, expected, fused = landscape
    chroma = [cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb)[..., 1:] / np.float32(127.5) - 1 for image in (over, under)]
    weights = [np.abs(of_source) + 1e-8 for of_source in chroma]
    mixed = sum(c * w for c, w in zip(chroma, weights, strict=True)) / sum(weights)
    ours = cv2.cvtColor(np.dstack([fused, ((mixed + 1) * 127.5).astype(np.uint8)]), cv2.COLOR_YCrCb2BGR)
    difference = np.abs(ours.astype(int) - expected)
    assert difference.max() <= 2
    assert (difference > 1).mean() < 1e-4
    assert (difference == 0).mean() > 0.998


@pytest.mark.slow
def test_luminance_of_the_released_file_where_no_channel_saturates(landscape):
    *_, expected, fused = landscape
    inside = ((expected > 0) & (expected < 255)).all(-1)
    assert inside.mean() > 0.5
    difference = np.abs(fused.astype(int) - luminance(expected) * 255)
    assert difference[inside].max() <= 1
    assert (difference[inside] < 0.5).mean() > 0.9


@pytest.mark.slow
def test_weighted_chroma_is_near_the_released_file(landscape):
    over, under, expected, fused = landscape
    difference = np.abs(add_chroma(fused, over, under, 'weighted').astype(int) - expected)
    assert difference.max() <= 4
    assert difference.mean() < 0.9


@pytest.mark.slow
@pytest.mark.parametrize('padding', ['zeros', 'reflect'])
def test_what_every_backbone_must_do(padding):
    torch.manual_seed(0)
    check_backbone(BACKBONES.build(dict(type='vlfusion_u2fusion.U2Fusion', padding=padding)))


def test_parameter_count():
    with torch.device('meta'):
        assert sum(parameter.numel() for parameter in U2Fusion().parameters()) == 659_217


@pytest.mark.parametrize('wrap', [
    lambda state: state,
    lambda state: dict(model={f'module.{name}': value for name, value in state.items()}, lr=1e-5),
], ids=['raw', 'checkpoint'])
def test_released_states_convert(released, wrap):
    converted = U2Fusion.convert_released(wrap(released))
    U2Fusion().load_state_dict(converted)
    assert len({tensor.data_ptr() for tensor in converted.values()}) == len(released) == 20


def test_states_of_another_network_are_refused(released):
    missing = {name: value for name, value in released.items() if name != 'sub.3.bias'}
    with pytest.raises(CheckpointError, match=r'lacks 1 of its names:\n +sub\.3\.bias'):
        U2Fusion.convert_released(missing)
    with pytest.raises(CheckpointError, match=r'has 1 unknown names:\n +conv_2\.0\.bias'):
        U2Fusion.convert_released({**released, 'conv_2.0.bias': torch.zeros(1)})
    with pytest.raises(CheckpointError, match='lacks 20'):
        U2Fusion.convert_released(U2Fusion().state_dict())


def test_the_loss_is_that_of_each_pair_by_its_degrees(loss):
    fused, (a, b) = pair(batch=2, seed=1)[0], pair(batch=2)
    degrees = torch.tensor([[0.25, 0.75], [0.6, 0.4]])
    loss.degrees = lambda *sources: degrees
    try:
        value = loss(fused, a, b)
    finally:
        del loss.degrees
    expected = 0
    for i in range(2):
        for degree, source in zip(degrees[i], (a[i:i + 1], b[i:i + 1]), strict=True):
            similarity = ssim_to_truth(255 * fused[i:i + 1], 255 * source)[0]
            error = torch.nn.functional.mse_loss(fused[i:i + 1], source)
            expected += degree * (1 - similarity + 20 * error) / 2
    torch.testing.assert_close(value, expected)


def test_degrees_favour_structure(loss):
    textured, flat = pair(batch=2)[0], torch.full((2, 1, 20, 27), 0.5)
    degrees = loss.degrees(textured, flat)
    assert degrees.shape == (2, 2)
    torch.testing.assert_close(degrees.sum(1), torch.ones(2))
    assert (degrees[:, 0] > degrees[:, 1]).all()
    torch.testing.assert_close(loss.degrees(flat, textured), degrees.flip(1))
    torch.testing.assert_close(loss.degrees(flat, flat), torch.full((2, 2), 0.5))


def test_structure_is_the_published_sum(loss):
    """Written as loops over the feature maps before the five poolings, with OpenCV's filter."""
    image, layers, expected = pair()[0], loss.vgg.network, []
    features = torch.nn.functional.interpolate(image, (224, 224)).expand(-1, 3, -1, -1) * 255 - loss.mean
    with torch.no_grad():
        for stage in (layers[:4], layers[4:9], layers[9:16], layers[16:23], layers[23:30]):
            features = stage(features)
            total = 0.0
            for plane in features[0]:
                kernel = np.full((3, 3), 1 / 8)
                kernel[1, 1] = -1
                laplacian = cv2.filter2D(plane.numpy().astype(np.float64), -1, kernel, borderType=cv2.BORDER_CONSTANT)
                total += (laplacian**2).sum()
            expected.append(total / features.numel())
        measured = loss.structure(image)
    assert measured.item() == pytest.approx(np.mean(expected), rel=1e-4)


def test_features_are_those_before_the_five_poolings():
    layers = vgg.make_layers(vgg.cfgs['D'])
    poolings = [index for index, layer in enumerate(layers) if isinstance(layer, torch.nn.MaxPool2d)]
    assert [tap + 1 for tap in plugin.losses.TAPS] == poolings


def test_pretrained_weights_are_loaded_or_said_to_be_missing(monkeypatch):
    state = {f'features.{name}': value for name, value in vgg.make_layers(vgg.cfgs['D']).state_dict().items()}
    monkeypatch.setattr(VGG16_Weights, 'get_state_dict', lambda self, **options: state)
    config = dict(type='vlfusion_u2fusion.InformationPreservationLoss')
    assert torch.equal(LOSSES.build(config).vgg.network[28].weight, state['features.28.weight'])

    def fail(self, **options):
        raise URLError('no route')
    monkeypatch.setattr(VGG16_Weights, 'get_state_dict', fail)
    with pytest.raises(ConfigError, match='VGG-16 could not be fetched: .*no route'):
        LOSSES.build(config)


def test_the_judge_does_not_learn_and_is_not_saved(loss):
    assert not loss.state_dict() and not list(loss.parameters())


def test_a_training_step_lowers_the_loss():
    torch.manual_seed(0)
    model = MODELS.build(dict(type='FusionModel', backbone=dict(type='vlfusion_u2fusion.U2Fusion', padding='reflect'),
                              losses=[dict(type='vlfusion_u2fusion.InformationPreservationLoss', pretrained=False)]))
    assert all(name.startswith('backbone.') for name in model.state_dict())
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-4, alpha=0.6, momentum=0.15)
    sources = dict(zip(('source_a', 'source_b'), pair(), strict=True))
    values = []
    for _ in range(4):
        optimizer.zero_grad()
        loss = model(**sources, mode='loss')['loss']
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[-1] < values[0]


def test_swapping_exchanges_the_sources_of_a_pair():
    image = np.dstack([np.zeros((2, 3)), np.ones((2, 3))])
    for prob, first in ((0, 0), (1, 1)):
        swap = TRANSFORMS.build(dict(type='vlfusion_u2fusion.SwapSources', prob=prob))
        assert (swap(dict(img=image))['img'][..., 0] == first).all()


@pytest.mark.slow
def test_config_takes_one_step(tmp_path):
    path = 'plugins/u2fusion/configs/u2fusion_mef_sice.py'
    config = load_config(path, {
        'data_root': str(tmp_path / 'data'), 'work_dir': str(tmp_path / 'work'), 'train_dataloader.batch_size': 2,
        'train_cfg.max_iters': 1, 'train_cfg.val_interval': 1,
        'default_hooks.checkpoint.interval': 1, 'model.losses.0.pretrained': False,
        **{f'{split}_dataloader.{key}': value for split in ('train', 'val', 'test')
           for key, value in (('num_workers', 0), ('persistent_workers', False))}})
    names = [f'p{i}' for i in range(3)]
    draw_pairs(tmp_path / 'data/Image/MEF/SICE', names, 'OVER', 'UNDER', size=(72, 80))
    for split in ('train', 'test'):
        (tmp_path / f'data/Image/MEF/SICE/{split}.txt').write_text('\n'.join(names))
    build_runner(config, 'train').train()
    assert (tmp_path / 'work/iter_1.pth').is_file()
