"""U2Fusion against numbers of the released network.

`data/released.npz` was made once: NumPy evaluated the released TensorFlow graph, `model.ckpt.meta`, node by node in
float64, with `drawn_state()` and `drawn_images()`.
"""

from pathlib import Path
from urllib.error import URLError

import cv2
import numpy as np
import pytest
import torch
from torchvision.models import VGG16_Weights, vgg

from vlfusion.config import load_config
from vlfusion.engine.runner import build_runner
from vlfusion.errors import CheckpointError, ConfigError
from vlfusion.metrics.ssim import ssim_to_truth
from vlfusion.registry import LOSSES, MODELS, TRANSFORMS
from vlfusion.testing import check_backbone
from vlfusion.testing.released import check_conversion
from vlfusion.testing.toys import draw_pairs
from vlfusion.zoo.entries import get_model

plugin = pytest.importorskip('vlfusion_u2fusion', reason='pip install --editable plugins/u2fusion')
U2Fusion = plugin.U2Fusion

RELEASED = np.load(Path(__file__).parent / 'data/released.npz')
SIZES = [(13, 18), (7, 9)]


def drawn_state(seed=0):
    """A float32 state under the released names, in their order, kernels as (height, width, in, out)."""
    rng = np.random.default_rng(seed)
    shapes = {'Generator/encoder/conv1_1': (2, 44)}
    shapes |= {f'Generator/encoder/dense_block_conv{i}': (44 * i, 44) for i in range(1, 6)}
    shapes |= {f'Generator_1/decoder/conv2_{i}': channels
               for i, channels in enumerate([(264, 128), (128, 64), (64, 32), (32, 1)], 1)}
    state = {}
    for layer, (channels, out_channels) in shapes.items():
        state[f'{layer}/bias'] = rng.normal(0, 0.1, out_channels).astype('float32')
        state[f'{layer}/kernel'] = rng.normal(0, 1.3 / np.sqrt(9 * channels),
                                              (3, 3, channels, out_channels)).astype('float32')
    return state


def drawn_images(size, seed=1):
    """Two images (h, w) in [0, 1]: the first and the second channel."""
    return np.random.default_rng(seed).uniform(0, 1, (2, *size))


def tensors():
    return {name: torch.from_numpy(value) for name, value in drawn_state().items()}


def drawn(**arguments):
    network = U2Fusion(**arguments).eval()
    network.load_state_dict(U2Fusion.convert_released(tensors()))
    return network


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


@pytest.mark.parametrize('size', SIZES, ids=str)
def test_equals_the_released_network_with_a_drawn_state(size):
    first, second = (torch.from_numpy(image)[None, None] for image in drawn_images(size))
    expected = RELEASED['x'.join(map(str, size))]
    with torch.no_grad():
        fused = drawn().double()(first, second)
        swapped = drawn(swap=True).double()(second, first)
    np.testing.assert_allclose(fused[0, 0].numpy(), expected, rtol=0, atol=3e-8)  # its 0.2 is float32
    assert torch.equal(fused, swapped) and expected.std() > 0.05


@pytest.mark.slow
@pytest.mark.parametrize('swap', [False, True])
def test_what_every_backbone_must_do(swap):
    check_backbone(drawn(swap=swap))


def test_parameter_count_and_initial_weights():
    torch.manual_seed(0)
    network = U2Fusion()
    assert sum(parameter.numel() for parameter in network.parameters()) == 659_217
    weight = network.decoder[0][0].weight
    assert weight.abs().max() <= 0.1 and weight.std().item() == pytest.approx(0.044, rel=0.01)  # truncated normal
    assert not network.embed[0].bias.any()


def test_the_released_file_is_read_and_converts(tmp_path):
    path = tmp_path / 'model.ckpt.data-00000-of-00001'
    path.write_bytes(b''.join(value.tobytes() for value in drawn_state().values()))
    assert path.stat().st_size == 2_636_868
    state = U2Fusion.read_released(path)
    assert list(state) == list(drawn_state())
    assert all(torch.equal(state[name], value) for name, value in tensors().items())
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(CheckpointError, match='released U2Fusion: expected 2636868 bytes, it is 2636864 bytes'):
        U2Fusion.read_released(path)


def test_only_exposures_come_in_the_order_of_the_authors():
    assert {task: get_model(f'u2fusion-{task}').arguments['swap'] for task in ('ivf', 'mif', 'mef', 'mff')} == dict(
        ivf=True, mif=True, mef=False, mff=True)


def test_states_of_another_network_are_refused():
    check_conversion(U2Fusion(), tensors(), missing='Generator_1/decoder/conv2_4/bias', unknown='beta1_power')


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
    model = MODELS.build(dict(type='FusionModel', backbone=dict(type='vlfusion_u2fusion.U2Fusion'),
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
