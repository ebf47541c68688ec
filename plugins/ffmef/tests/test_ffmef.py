import cv2
import numpy as np
import pytest
import torch

from vlfusion.config import load_config
from vlfusion.engine.compat import load_checkpoint_file
from vlfusion.engine.runner import build_runner
from vlfusion.errors import CheckpointError, ConfigError
from vlfusion.imaging.images import add_chroma, luminance, read_image
from vlfusion.imaging.quantise import quantise
from vlfusion.registry import BACKBONES, LOSSES, MODELS
from vlfusion.testing import check_backbone
from vlfusion.testing.shared import shared
from vlfusion.testing.toys import draw_pairs
from vlfusion.zoo.entries import file_names, get_model

plugin = pytest.importorskip('vlfusion_ffmef', reason='pip install --editable plugins/ffmef')
FFMEF = plugin.FFMEF


def released(name):
    file, = file_names(get_model(f'ffmef-{name}'))
    return load_checkpoint_file(shared(f'zoo/ffmef/{file}'))


def backbone(name):
    network = FFMEF(**get_model(f'ffmef-{name}').arguments)
    network.load_state_dict(FFMEF.convert_released(released(name)))
    return network


def fuse(network, image_a, image_b, rule='film'):
    with torch.no_grad():
        return network(*(torch.from_numpy(luminance(image, rule))[None, None] for image in (image_a, image_b)))


@pytest.fixture(scope='module')
def bellows():
    """Over-, under-exposed and fused, in colour."""
    return [read_image(shared(f'zoo/ffmef/AirBellowsGap_{name}.png')) for name in ('B', 'A', 'fused')]


def pair(batch=1, size=(20, 27), seed=0):
    return torch.rand(2, batch, 1, *size, generator=torch.Generator().manual_seed(seed)).unbind()


def limited_chroma(image):
    """Cr and Cb about zero, on the scale 16..240."""
    blue, green, red = np.moveaxis(image.astype(np.float32), -1, 0)
    return (0.439215 * red - 0.367789 * green - 0.071426 * blue, 0.439215 * blue - 0.290992 * green - 0.148223 * red)


def test_reproduces_the_authors_file(bellows):
    """With the authors' own colour step, which takes luminance that is not rounded; elsewhere than where the network
    leaves [0, 1], for there their colours saturate while luminance, which is our output, is clipped."""
    over, under, expected = bellows
    fused = fuse(backbone('mef'), over, under, 'bt601')[0, 0].numpy()
    cr, cb = ((a * abs(a) + b * abs(b)) / np.maximum(abs(a) + abs(b), 1e-20)
              for a, b in zip(limited_chroma(over), limited_chroma(under), strict=True))
    grey = 255 * fused
    ours = np.dstack([grey + 2.017230 * cb, grey - 0.391762 * cb - 0.812969 * cr, grey + 1.596027 * cr])
    difference = np.abs(ours.clip(0, 255).astype(np.uint8).astype(int) - expected)
    inside = (fused > 0) & (fused < 1)
    assert inside.mean() > 0.995
    assert difference[inside].max() <= 1
    assert (difference[inside] == 0).mean() > 0.999


def test_luminance_of_the_authors_file_where_no_channel_saturates(bellows):
    over, under, expected = bellows
    inside = ((expected > 0) & (expected < 255)).all(-1)
    assert inside.mean() > 0.97
    fused = quantise(fuse(backbone('mef'), over, under, 'bt601'), 'clip', 'truncate')[0, 0].numpy()
    assert np.abs(fused.astype(int) - np.round(luminance(expected) * 255))[inside].max() <= 1


def test_weighted_chroma_is_the_authors(bellows):
    over, under, expected = bellows
    fused = fuse(backbone('mef'), over, under)
    inside = ((fused > 0) & (fused < 1))[0, 0].numpy()
    ours = add_chroma(quantise(fused, 'clip', 'truncate')[0, 0].numpy(), over, under, 'weighted')
    difference = np.abs(ours.astype(int) - expected)[inside]
    assert difference.max() <= 2
    assert difference.mean() < 0.25


@pytest.mark.slow
def test_the_order_of_the_sources_belongs_to_the_weights(bellows):
    over, under, _ = bellows
    network = backbone('mef')
    ordered = fuse(network, over, under)
    network.first = 'a'
    torch.testing.assert_close(fuse(network, under, over), ordered)
    assert (fuse(network, over, under) - ordered).abs().mean() > 0.05
    with pytest.raises(ConfigError, match="got 'under'"):
        FFMEF(first='under')


@pytest.mark.slow
@pytest.mark.parametrize('name, source_a, source_b', [
    ('mff', 'data/mff/Lytro/near/2.png', 'data/mff/Lytro/far/2.png'),
    ('ivf', 'data/ivf/RoadScene/ir/FLIR_04593.jpg', 'data/ivf/RoadScene/vi/FLIR_04593.jpg')])
def test_the_other_weights_fuse_real_pairs(name, source_a, source_b):
    image_a, image_b = (read_image(shared(path)) for path in (source_a, source_b))
    fused = fuse(backbone(name), image_a, image_b)
    sources = [torch.from_numpy(luminance(image)) for image in (image_a, image_b)]
    edges = [np.abs(cv2.Laplacian(image.numpy(), cv2.CV_32F)).mean() for image in (fused[0, 0], *sources)]
    assert edges[0] > 0.8 * max(edges[1:])  # as sharp as the sharper source
    images = np.stack([image.flatten() for image in (fused[0, 0], *sources)])
    (_, to_a, to_b), (_, _, between), _ = np.corrcoef(images)
    assert min(to_a, to_b) > between  # nearer to each source than they are to each other


def test_the_sources_are_in_the_order_of_the_released_test_scripts():
    first = [get_model(f'ffmef-{task}').arguments['first'] for task in ('mef', 'ivf')]
    assert first == ['b', 'a'], 'under-exposed and infrared first'


@pytest.mark.slow
def test_what_every_backbone_must_do():
    torch.manual_seed(0)
    check_backbone(BACKBONES.build(dict(type='vlfusion_ffmef.FFMEF')))


def test_parameter_count():
    with torch.device('meta'):
        assert sum(parameter.numel() for parameter in FFMEF().parameters()) == 7_662


@pytest.mark.slow
@pytest.mark.parametrize('name', ['mef', 'mff', 'ivf'])
def test_released_states_convert(name):
    converted = FFMEF.convert_released(released(name))
    FFMEF().load_state_dict(converted)
    assert len({tensor.data_ptr() for tensor in converted.values()}) == len(converted) == 147


def test_states_of_another_network_are_refused():
    state = {f'module.{name}': value for name, value in released('mef')['model'].items()}
    assert FFMEF.convert_released(state).keys() == FFMEF().state_dict().keys()
    missing = {name: value for name, value in state.items() if name != 'module.alpha1'}
    with pytest.raises(CheckpointError, match=r'lacks 1 of its names:\n +alpha1'):
        FFMEF.convert_released(missing)
    with pytest.raises(CheckpointError, match=r'has 1 unknown names:\n +kp4\.bias'):
        FFMEF.convert_released({**state, 'kp4.bias': torch.zeros(1)})
    with pytest.raises(CheckpointError, match='lacks 147'):
        FFMEF.convert_released(FFMEF().state_dict())


def test_filters_are_applied_to_neighbourhoods():
    fusion = plugin.model.FilterFusion(dim=4, size=3, share=1.0)
    image = pair()[0]
    filters = torch.zeros(1, 9, 20, 27)
    filters[:, 5] = 2.0  # the neighbour to the right
    expected = torch.nn.functional.pad(2 * image[..., 1:], (0, 1))
    torch.testing.assert_close(fusion.filter(image, filters), expected)


def test_scharr_magnitude_is_opencvs():
    image = pair(size=(9, 12))[0] / 8
    expected = sum(np.abs(cv2.Scharr(image[0, 0].numpy(), cv2.CV_64F, *axes)).clip(max=1) for axes in ((1, 0), (0, 1)))
    measured = plugin.losses.scharr_magnitude(image, 'reflect')[0, 0].double()
    torch.testing.assert_close(measured, torch.from_numpy(expected / 2), rtol=0, atol=1e-6)


def test_the_loss_of_flat_images_is_the_distance_to_their_mean():
    loss = LOSSES.build(dict(type='vlfusion_ffmef.GradientFidelityLoss'))
    fused, a, b = (torch.full((1, 1, 8, 8), value) for value in (0.5, 0.2, 0.6))
    assert loss(fused, a, b).item() == pytest.approx(0.1 * 219 / 255, rel=1e-4)


def test_the_loss_of_an_edge_by_hand():
    """A step from 0 to 1 in A, between the columns 3 and 4 of 8: its magnitude is 1/2 in both (the other derivative is
    0), rounded down to 127/255; so a threshold of 0.49 makes edges of the columns 2 to 5."""
    loss = LOSSES.build(dict(type='vlfusion_ffmef.GradientFidelityLoss', threshold=0.49))
    a = torch.zeros(1, 1, 8, 8)
    a[..., 4:] = 1
    b = torch.zeros_like(a)
    span = 219 / 255
    guided = span * 2 / 8  # F = B: two of the four edge columns are off by the span
    smooth = span / 2 * 2 / 8  # the columns 6 and 7 are off by half of it
    gradient = 127 / 255 * 2 / 8
    assert loss(b, a, b).item() == pytest.approx(1.25 * guided + smooth + 2 * gradient, rel=1e-5)


def test_a_training_step_lowers_the_loss():
    torch.manual_seed(0)
    model = MODELS.build(dict(type='FusionModel', backbone=dict(type='vlfusion_ffmef.FFMEF'),
                              losses=[dict(type='vlfusion_ffmef.GradientFidelityLoss')]))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    sources = dict(zip(('source_a', 'source_b'), pair(), strict=True))
    values = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = model(**sources, mode='loss')['loss']
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[-1] < values[0]


@pytest.mark.slow
def test_config_takes_one_step(tmp_path):
    config = load_config('plugins/ffmef/configs/ffmef_mef_sice.py', {
        'data_root': str(tmp_path / 'data'), 'work_dir': str(tmp_path / 'work'), 'train_cfg.max_iters': 1,
        'train_cfg.val_interval': 1, 'default_hooks.checkpoint.interval': 1,
        'train_dataloader.dataset.pipeline.1.transforms.0.scale': (48, 48),
        **{f'{split}_dataloader.{key}': value for split in ('train', 'val', 'test')
           for key, value in (('num_workers', 0), ('persistent_workers', False))}})
    names = [f'p{i}' for i in range(3)]
    draw_pairs(tmp_path / 'data/Image/MEF/SICE', names, 'OVER', 'UNDER', size=(72, 80))
    for split in ('train', 'test'):
        (tmp_path / f'data/Image/MEF/SICE/{split}.txt').write_text('\n'.join(names))
    build_runner(config, 'train').train()
    assert (tmp_path / 'work/iter_1.pth').is_file()
