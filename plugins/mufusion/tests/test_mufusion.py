"""MUFusion against numbers in tests/data: the released code ran once, on states and images drawn here from seeds.

`released.npz`: the released network in float64, and its test script with tiles of 16 pixels; a sum of activity maps.
`released.json`: its loss functions in float64; the totals of its multi-exposure training script, three epochs of two
steps on four patches of 48x48, with SciPy's `imsave` replaced by what that did, for it no longer exists.
"""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from vlfusion.testing.released import check_conversion
from vlfusion.testing.toys import QUICK, draw_pairs

pytest.importorskip('vlfusion_mufusion', reason='pip install --editable plugins/mufusion')

from vlfusion_mufusion import ContentLoss, MUFusion, MUFusionModel
from vlfusion_mufusion.losses import deviation

from vlfusion.config import load_config
from vlfusion.engine.runner import build_runner
from vlfusion.errors import ConfigError, DataError
from vlfusion.losses import multi_scale_similarity
from vlfusion.registry import BACKBONES, DATASETS, MODELS, OPTIM_WRAPPERS
from vlfusion.testing import check_backbone
from vlfusion.zoo.entries import get_model

CONFIGS = sorted((Path(__file__).parents[1] / 'configs').glob('*.py'))
DATA = Path(__file__).parent / 'data'
IMAGES = np.load(DATA / 'released.npz')
NUMBERS = json.loads((DATA / 'released.json').read_text())
#: Released name, channels in and out.
LAYERS = (('conv1', 2, 32), ('conv2', 32, 32), ('conv3', 64, 64), ('conv4', 64, 64), ('conv5', 128, 64),
          ('conv6', 192, 64), ('conv66', 64, 64), ('conv55', 128, 64), ('conv44', 128, 64), ('conv33', 128, 64),
          ('conv22', 96, 32), ('conv11', 64, 1))


def draw_state(seed=5):
    """A random state under the released names."""
    generator, state = np.random.default_rng(seed), {}
    for name, channels, out_channels in LAYERS:
        state[f'{name}.1.weight'] = generator.normal(size=(out_channels, channels, 3, 3)) * np.sqrt(2 / (9 * channels))
        state[f'{name}.1.bias'] = generator.normal(size=out_channels) * 0.1
    state['conv11.1.weight'] *= 0.2
    state['conv11.1.bias'] += 0.5
    return {name: torch.from_numpy(value).float() for name, value in state.items()}


def draw_vgg(layers, seed=3):
    """Random weights for the convolutions of VGG-19."""
    generator, state = np.random.default_rng(seed), {}
    for index, layer in enumerate(layers):
        if isinstance(layer, torch.nn.Conv2d):
            shape = layer.weight.shape
            weight = (generator.normal(size=shape) * np.sqrt(2 / (9 * shape[1]))).astype(np.float32)
            state |= {f'{index}.weight': torch.from_numpy(weight), f'{index}.bias': torch.zeros(shape[0])}
    layers.load_state_dict(state)


@pytest.fixture
def pair():
    """Two images of 28x37 grey levels, float64."""
    levels = np.random.default_rng(11).integers(0, 256, (2, 28, 37)).astype(np.uint8)
    return [torch.from_numpy(image)[None, None].double() / 255 for image in levels]


def network(**options):
    net = BACKBONES.build(dict(type='vlfusion_mufusion.MUFusion', **options)).eval().double()
    net.load_state_dict(MUFusion.convert_released(draw_state()))
    return net


def model(**options):
    return MODELS.build(dict(type='vlfusion_mufusion.MUFusionModel', backbone=dict(type='vlfusion_mufusion.MUFusion'),
                             losses=[dict(type='vlfusion_mufusion.ContentLoss', taps=0, **options)]))


def test_network_equals_the_released_one(pair):
    with torch.no_grad():
        fused = network(tile=None)(*(source[..., :20, :28] for source in pair))
    np.testing.assert_allclose(fused[0, 0].numpy(), IMAGES['whole'], rtol=0, atol=1e-7)


def test_tiles_equal_the_released_test_script(pair):
    net = network(tile=16)
    with torch.no_grad():
        fused = net(*pair)
        whole = network(tile=None)(*pair)
    np.testing.assert_allclose(fused[0, 0].numpy(), IMAGES['tiled'], rtol=0, atol=1e-7)
    assert (fused - whole).abs().max() > 1e-3
    assert net._starts(28) == [0, 12, 12] and net._starts(37) == [0, 12, 21]  # 28 is reached twice, as released


@pytest.mark.slow
@pytest.mark.parametrize(('options', 'size'), [(dict(dim=4), (21, 27)), (dict(tile=16, dim=4), (20, 28)),
                                               (dict(tile=16, dim=4), (21, 27)),
                                               (dict(tile=None, dim=4, first='b'), (20, 28))])
def test_what_every_backbone_must_do(options, size):
    torch.manual_seed(0)
    check_backbone(MUFusion(**options), size=size)


def test_parameter_count():
    assert sum(parameter.numel() for parameter in MUFusion().parameters()) == 554_721


def test_which_source_comes_first(pair):
    with torch.no_grad():
        fused = network()(*pair)
        assert torch.equal(fused, network(first='b')(*pair[::-1]))
        assert (fused - network(first='b')(*pair)).abs().max() > 1e-3
    first = {task: get_model(f'mufusion-{task}').arguments.get('first', 'a') for task in ('ivf', 'mif', 'mef', 'mff')}
    assert first == dict(ivf='a', mif='b', mef='b', mff='a')


def test_only_evaluation_clamps(pair):
    net = network()
    with torch.no_grad():
        net.decoder[5][0].bias.fill_(-2)
        assert net(*pair).max() == 0
        assert net.train()(*pair).max() < -0.5


def test_what_the_network_refuses():
    with pytest.raises(ConfigError, match="got 'c'"):
        MUFusion(first='c')
    with pytest.raises(ConfigError, match='cannot share 16'):
        MUFusion(tile=16, overlap=16)
    with pytest.raises(DataError, match='at least 3x3'):
        MUFusion()(torch.rand(1, 1, 2, 9), torch.rand(1, 1, 2, 9))
    assert MUFusion()(torch.rand(1, 1, 3, 3), torch.rand(1, 1, 3, 3)).shape == (1, 1, 3, 3)


def test_states_of_another_network_are_refused():
    state = draw_state()
    converted = check_conversion(MUFusion(), state, missing='conv22.1.bias', unknown='conv7.1.bias')
    assert torch.equal(converted['decoder.0.0.weight'], state['conv66.1.weight'])


@pytest.mark.parametrize('expected', NUMBERS['deviation'], ids=lambda expected: str(expected['seed']))
def test_losses_equal_the_released_ones(expected):
    fused, target = torch.from_numpy(np.random.default_rng(expected['seed']).random((2, *expected['shape'])))
    target = (target + fused) / 2
    assert multi_scale_similarity(fused, target).item() == pytest.approx(expected['msssim'], rel=1e-7)
    total = expected['mse'] + 10 * (1 - expected['msssim']) + 10 * expected['gradient']
    assert deviation(fused, target).item() == pytest.approx(total, rel=1e-7)


def test_activity_equals_the_released_one():
    loss = ContentLoss(taps=2, pretrained=False)
    draw_vgg(loss.vgg.network)
    loss.vgg.network.double()
    image = torch.from_numpy(np.random.default_rng(4).random((1, 1, 16, 32)))
    np.testing.assert_allclose(loss.activity(image)[0, 0].detach().numpy(), IMAGES['activity'], rtol=1e-6)


def test_each_source_counts_where_it_is_the_more_active():
    loss = ContentLoss(taps=1, window=3, pretrained=False)
    a, b = torch.zeros(2, 1, 1, 32, 32).unbind()
    a[..., :12] = torch.rand(32, 12, generator=torch.Generator().manual_seed(0))
    b[..., 20:] = torch.rand(32, 12, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for index in (0, 2):  # activity without a bias, and one that grows with the input
            loss.vgg.network[index].weight.abs_()
            loss.vgg.network[index].bias.zero_()
    mask = loss.mask(a, b)[0, 0]
    assert mask[:, :12].all() and not mask[:, 20:].any()
    best = torch.where(mask, a, b)
    assert loss(best, a, b).item() == pytest.approx(0, abs=1e-5)
    assert loss(a, a, b).item() > 0.1 and ContentLoss(taps=0)(best, a, b).item() > 0.1


def test_what_the_losses_refuse():
    with pytest.raises(DataError, match='at least 16x16'):
        deviation(torch.rand(1, 1, 12, 40), torch.rand(1, 1, 12, 40))
    for options in (dict(taps=6), dict(window=4)):
        with pytest.raises(ConfigError, match='no . stages'):
            ContentLoss(**options)


@pytest.mark.slow
def test_training_equals_the_released_script():
    generator = np.random.default_rng(7)
    patches = {str(i): [cv2.GaussianBlur(generator.integers(0, 256, (48, 48)).astype(np.uint8), (0, 0), 2)
                        for _ in range(2)] for i in range(1, 5)}
    net = model().train()
    net.backbone.load_state_dict(MUFusion.convert_released(draw_state()))
    before = {name: value.clone() for name, value in net.named_parameters()}
    wrapper = OPTIM_WRAPPERS.build(dict(type='OptimWrapper', optimizer=torch.optim.Adam(net.parameters(), 1e-4)))
    logged = []
    for order in NUMBERS['training']['order']:
        for names in (order[:2], order[2:]):
            sources = torch.from_numpy(np.stack([patches[name] for name in names])).float() / 255
            batch = dict(source_a=sources[:, :1], source_b=sources[:, 1:], name=names)
            logged.append({key: value.item() for key, value in net.train_step(batch, wrapper).items()})
    losses = [terms['loss'] for terms in logged]
    np.testing.assert_allclose(losses, NUMBERS['training']['losses'], rtol=1e-4)  # float32, on both sides
    assert all(not torch.equal(value, before[name]) for name, value in net.named_parameters())
    assert logged[-1]['content'] < logged[1]['content'] and logged[0]['memory'] == pytest.approx(0, abs=1e-5)
    last = logged[-1]
    assert last['loss'] == pytest.approx(last['share'] * last['content'] + (1 - last['share']) * last['memory'])


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    return dict(source_a=torch.rand(2, 1, 32, 32, generator=generator),
                source_b=torch.rand(2, 1, 32, 32, generator=generator), name=['p', 'q'])


def test_the_memory_holds_the_last_result_stretched(batch):
    torch.manual_seed(0)
    net = model().train()
    with torch.no_grad():
        fused = net.backbone(batch['source_a'], batch['source_b'])
        net(**batch, mode='loss')
    low, high = fused[1].min(), fused[1].max()
    recalled = net.recall(['q', 'new'], batch['source_a'][[1, 0]], batch['source_b'][[1, 0]], fused)
    torch.testing.assert_close(recalled[0], (fused[1] - low) / (high - low), rtol=0, atol=0.51 / 255)
    assert torch.equal(recalled[1], fused[1])
    assert net.memory['p'][0].dtype == torch.uint8 and not any('memory' in name for name in net.state_dict())


def test_evaluation_remembers_nothing_and_fuses(batch):
    net = model().eval()
    with torch.no_grad():
        net(**batch, mode='loss')
        assert not net.memory
        assert torch.equal(net(**batch), net.backbone(batch['source_a'], batch['source_b']))
        assert [pair['name'] for pair in net(**batch, mode='predict')] == ['p', 'q']


def test_pairs_that_changed_or_have_no_names_are_refused(batch):
    net = model().train()
    net(**batch, mode='loss')
    with pytest.raises(ConfigError, match='The pair p has changed'):
        net(batch['source_a'].flip(0), batch['source_b'], name=batch['name'], mode='loss')
    with pytest.raises(ConfigError, match='0 names for 2 pairs'):
        net(batch['source_a'], batch['source_b'], mode='loss')
    with pytest.raises(ConfigError, match='no loss'):
        MUFusionModel(dict(type='vlfusion_mufusion.MUFusion'))(**batch, mode='loss')


@pytest.fixture
def config(tmp_path):
    """A function that reads a config with a small network and toy pairs in place of its data."""
    def read(path):
        options = {**QUICK, 'data_root': str(tmp_path), 'work_dir': str(tmp_path / 'work'), 'train_cfg.max_iters': 2,
                   'train_cfg.val_interval': 2, 'train_dataloader.batch_size': 2,
                   'default_hooks.checkpoint.interval': 2, 'model.backbone.dim': 4}
        config = load_config(path, options)
        if config.model.losses[0].taps:
            config.model.losses[0].update(taps=1, pretrained=False)
        for split in ('train', 'val'):
            dataset = config[f'{split}_dataloader'].dataset
            draw_pairs(tmp_path, ['p0', 'p1'], dataset.source_a, dataset.source_b, size=(64, 64))
        return config
    return read


@pytest.mark.slow
@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config_takes_two_visits(path, config):
    config = config(path)
    net = MODELS.build(config.model).train()
    wrapper = OPTIM_WRAPPERS.build(dict(type='OptimWrapper', optimizer=torch.optim.Adam(net.parameters(), 1e-4)))
    shared = dict(task=config.task, data_root=config.data_root)
    data, held_out = (DATASETS.build(config[f'{split}_dataloader'].dataset | shared) for split in ('train', 'val'))
    assert held_out[1]['name'] == 'p1'
    batch = default_collate([data[0], data[1]])
    first, second = (net.train_step(batch, wrapper) for _ in range(2))
    assert sorted(net.memory) == ['p0', 'p1']
    assert first['memory'] == pytest.approx(0, abs=1e-5) and second['memory'] > 1e-5


@pytest.mark.slow
def test_a_runner_trains_and_saves(config, tmp_path):
    runner = build_runner(config(CONFIGS[0].with_stem('mufusion_mef')), 'train')
    runner.train()
    assert (tmp_path / 'work/iter_2.pth').is_file()
    assert sorted(runner.model.memory) == ['p0', 'p1']
