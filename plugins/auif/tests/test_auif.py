"""AUIF against numbers of the released network.

`data/released.npz` was made once: the released code, with kornia 0.4.1 on torch 2.14, in float64 (its fixed kernels as
well), got `drawn_state()` and `drawn_images()`. It holds its outputs by its three rules, and the losses of its training
script in four steps of its three Adams on `drawn_images(16)`, with the SSIM of kornia.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from vlfusion.config import load_config
from vlfusion.engine.checkpoints import convert_released, load_model
from vlfusion.engine.runner import build_runner
from vlfusion.errors import CheckpointError, ConfigError, DataError
from vlfusion.models.layers.merging import merge_features
from vlfusion.models.stacks import fuses_stacks
from vlfusion.registry import BACKBONES, MODELS, OPTIM_WRAPPERS
from vlfusion.testing import check_backbone
from vlfusion.testing.toys import draw_pairs
from vlfusion.zoo.entries import file_names, get_model

pytest.importorskip('vlfusion_auif', reason='pip install --editable plugins/auif')
from vlfusion_auif import AUIF, AUIFModel, RandomResizedCrop, dissimilarity  # noqa: E402
from vlfusion_auif.model import Parts, high_pass, low_pass  # noqa: E402

CONFIGS = Path(__file__).parents[1] / 'configs'
RELEASED = np.load(Path(__file__).parent / 'data/released.npz')


def drawn_state(seed=0):
    """A state in float64 under the released names, of a size that keeps activations sane."""
    rng = np.random.default_rng(seed)
    state = {}
    for part in ('conv1', 'conv2'):
        for index in range(10):
            state |= {f'{part}.{index}.kernel': rng.normal(0, 0.1, (64, 1, 3, 3)),
                      f'{part}.{index}.eta': rng.uniform(0.05, 0.15, 1),
                      f'{part}.{index}.theta': rng.uniform(-0.2, 0.4, 1),
                      **_norm(rng, f'{part}.{index}.rest.0', 3 if part == 'conv1' else 0, 3),
                      f'{part}.{index}.rest.1.weight': rng.uniform(0.1, 0.4, 1)}
    kernel = rng.normal(0, 0.5, (1, 1, 3, 3))
    state |= {'decoder.1.weight': kernel - kernel.mean() + 0.03, **_norm(rng, 'decoder.2', 0.3, 0.3)}
    return {name: torch.from_numpy(np.asarray(value)) for name, value in state.items()}


def _norm(rng, name, mean, scale):
    return {f'{name}.weight': rng.uniform(0.5, 1.5, 1), f'{name}.bias': rng.normal(0, 0.1, 1),
            f'{name}.running_mean': rng.normal(mean, scale / 3, 1),
            f'{name}.running_var': rng.uniform(0.5, 2, 1) * scale**2, f'{name}.num_batches_tracked': np.int64(0)}


def drawn_images(side=None, seed=1):
    """Two float64 batches, of one image 20x29 or of two images `side` x `side`."""
    shape = (1, 1, 20, 29) if side is None else (2, 1, side, side)
    rng = np.random.default_rng(seed)
    return [torch.from_numpy(rng.random(shape)) for _ in range(2)]


def drawn(fusion='sum'):
    net = AUIF(fusion).double().eval()
    net.load_state_dict(AUIF.convert_released(drawn_state()))
    return net


@pytest.mark.parametrize('fusion', ['sum', 'mean', 'l1'])
def test_equals_the_released_network_with_a_drawn_state(fusion):
    with torch.no_grad():
        fused = drawn(fusion)(*drawn_images())
    difference = np.abs(fused[0, 0].numpy() - RELEASED[fusion]).max()
    assert difference < 1e-12  # 7e-16 when measured
    assert RELEASED[fusion].std() > 0.005


def test_losses_of_four_steps_equal_those_of_the_released_script():
    model = AUIFModel(dict(type='vlfusion_auif.AUIF')).double()
    model.backbone.load_state_dict(drawn().state_dict())
    config = load_config(CONFIGS / 'auif_ivf.py').optim_wrapper
    rates = {f'{part}.': 1e-2 * config.paramwise_cfg.custom_keys.get(f'backbone.{part}', dict(lr_mult=1))['lr_mult']
             for part in ('base', 'detail', 'restore')}
    named = list(model.backbone.named_parameters())
    groups = [dict(params=[value for name, value in named if name.startswith(part)], lr=rate)
              for part, rate in rates.items()]
    assert config.optimizer.lr == 1e-2 and list(rates.values()) == [1e-2, 1e-3, 1e-2]
    wrapper = OPTIM_WRAPPERS.build(dict(type='OptimWrapper', optimizer=torch.optim.Adam(groups)))
    source_a, source_b = drawn_images(16)
    before = {name: value.clone() for name, value in model.named_parameters()}
    logged = [model.train().train_step(dict(source_a=source_a, source_b=source_b), wrapper) for _ in range(4)]
    np.testing.assert_allclose([terms['loss'].item() for terms in logged], RELEASED['losses'], rtol=1e-9)
    np.testing.assert_allclose(logged[0]['squared'].item(), RELEASED['squared'], rtol=1e-12)
    np.testing.assert_allclose(logged[0]['structure'].item(), RELEASED['structure'], rtol=1e-12)
    assert logged[-1]['loss'] < logged[0]['loss']
    assert all(not torch.equal(value, before[name]) for name, value in model.named_parameters())


@pytest.mark.slow
@pytest.mark.parametrize('fusion', ['sum', 'mean', 'l1'])
def test_what_every_backbone_must_do(fusion):
    torch.manual_seed(0)
    net = AUIF(fusion, steps=3, filters=8)
    for layer in net.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1  # one pass tells the statistics, without which the response of random filters explodes
    net.train().decode(net.encode(torch.rand(4, 1, 20, 28)))
    check_backbone(net, tolerance=1e-4)  # sums of hundreds before they are normalised


def test_parameter_count():
    assert sum(parameter.numel() for parameter in AUIF().parameters()) == 11_631


def test_released_files_become_a_checkpoint(tmp_path):
    state = {name: value.float() if value.is_floating_point() else value for name, value in drawn_state().items()}
    files = [tmp_path / name for name in file_names(get_model('auif-ivf'))]
    for path, part in zip(files, ('conv1.', 'conv2.', 'decoder.'), strict=True):
        torch.save({name: value for name, value in state.items() if name.startswith(part)}, path)
    convert_released('vlfusion_auif.AUIF', files, tmp_path / 'auif.pth', 'ivf')
    model, experiment = load_model(tmp_path / 'auif.pth')
    with torch.no_grad():
        fused = model(*(image.float() for image in drawn_images()))
    assert experiment['protocol'] == 'plain'
    np.testing.assert_allclose(fused[0, 0].numpy(), RELEASED['sum'], atol=1e-5)


def test_states_of_another_network_are_refused():
    state = drawn_state()
    with pytest.raises(CheckpointError, match=r'lacks 1 of its names:\n +conv2\.3\.eta'):
        AUIF.convert_released({name: value for name, value in state.items() if name != 'conv2.3.eta'})
    with pytest.raises(CheckpointError, match=r'has 1 unknown names:\n +conv1\.10\.eta'):
        AUIF.convert_released(state, {'conv1.10.eta': torch.zeros(1)})
    assert AUIF.convert_released({f'module.{name}': value for name, value in state.items()}).keys() \
        == AUIF().state_dict().keys()


def test_no_such_fusion_rule():
    with pytest.raises(ConfigError, match='Did you mean mean'):
        BACKBONES.build(dict(type='vlfusion_auif.AUIF', fusion='meam'))


def test_images_that_cannot_be_reflected_are_refused():
    images = torch.rand(2, 1, 1, 9, 12)
    with pytest.raises(DataError, match='at least 10x10'):
        AUIF(steps=1)(*images)
    assert AUIF(steps=1, filters=2)(*torch.rand(2, 1, 1, 10, 12)).shape == (1, 1, 10, 12)


def test_passes_by_hand():
    spot = torch.zeros(1, 1, 41, 41, dtype=torch.float64)
    spot[..., 20, 20] = 1
    low, high = low_pass(spot)[0, 0], high_pass(spot)[0, 0]
    assert low[15, 25].item() == pytest.approx(1 / 121) and low[14, 25].item() == 0
    assert high[20, 20].item() == pytest.approx(-0.5) and high[29, 11].item() == pytest.approx(1 / 720)
    assert high[30, 20].item() == 0


def test_a_step_by_hand():
    net = AUIF(steps=1, filters=1).double().eval()
    step = net.base[0]
    with torch.no_grad():
        step.kernel.zero_()[..., 1, 1] = 2.0
        step.eta.fill_(0.1)
        step.theta.fill_(0.5)
    x, image = torch.full((2, 1, 1, 12, 12), 0.3, dtype=torch.float64)
    image = image + 0.4
    whitened = 4 * 0.3 / np.sqrt(1 + 1e-5)
    assert step(x, image)[0, 0, 3, 3].item() == pytest.approx(0.3 - 0.1 * (whitened - 0.5 * 0.4))


def test_activity_decides_where_only_one_source_has_any():
    a, b = torch.zeros(2, 1, 1, 5, 9)
    a[..., :3], b[..., 6:] = 0.4, -0.8
    fused = merge_features([[a], [b]], 'l1')[0]
    assert fused[0, 0, 2, 8].item() == pytest.approx(-0.8) and fused[0, 0, 2, 4].item() == 0
    assert fused[0, 0, 2, 0].item() == pytest.approx(0.4)


def test_dissimilarity_by_hand():
    a, b = (torch.full((1, 1, 12, 12), value, dtype=torch.float64) for value in (0.2, 0.6))
    ssim = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)  # constant images have no variance
    assert dissimilarity(a, b).item() == pytest.approx((1 - ssim) / 2, rel=1e-9)


def test_modes_other_than_loss_fuse():
    model = MODELS.build(dict(type='vlfusion_auif.AUIFModel', backbone=dict(type='vlfusion_auif.AUIF', steps=2))).eval()
    batch = dict(zip(('source_a', 'source_b'), torch.rand(2, 1, 1, 14, 15), strict=True), name=['1'])
    with torch.no_grad():
        fused = model(**batch)
        predicted = model(**batch, mode='predict')
    torch.testing.assert_close(fused, model.backbone(batch['source_a'], batch['source_b']))
    assert predicted[0]['name'] == '1' and torch.equal(predicted[0]['fused'], fused[0])


def test_crops_are_within_the_image_and_of_the_size_asked_for():
    ramp = np.mgrid[0:40, 0:60].transpose(1, 2, 0).astype(np.float32)  # each pixel holds its row and column
    np.random.seed(0)
    crop = RandomResizedCrop(16)
    for _ in range(20):
        out = crop.transform(dict(img=ramp))['img']
        height, width = np.ptp(out[..., 0]), np.ptp(out[..., 1])
        assert out.shape == (16, 16, 2) and out.min() >= 0 and out[..., 0].max() <= 39 and out[..., 1].max() <= 59
        assert 8 < height <= 39 and 8 < width <= 46.2
    narrow = np.zeros((10, 400, 2), np.float32)
    assert crop._window(*narrow.shape[:2]) == (0, 195, 10, 10)


def test_the_sample_config_builds_its_model():
    assert isinstance(MODELS.build(load_config(CONFIGS / 'auif_ivf_sample.py').model), AUIFModel)


@pytest.mark.slow
def test_the_published_config_takes_one_step(tmp_path):
    options = {'data_root': str(tmp_path / 'data'), 'work_dir': str(tmp_path / 'work'), 'model.backbone.filters': 4,
               'model.backbone.steps': 2, 'train_cfg.max_iters': 1, 'train_cfg.val_interval': 1,
               'train_dataloader.batch_size': 2, 'default_hooks.checkpoint.interval': 1}
    for split in ('train', 'val', 'test'):
        options |= {f'{split}_dataloader.num_workers': 0, f'{split}_dataloader.persistent_workers': False}
    config = load_config(CONFIGS / 'auif_ivf.py', options)
    draw_pairs(tmp_path / 'drawn', ['1', '2'], size=(70, 74))
    for split in ('train', 'val'):
        for source, folder in ((config[f'{split}_dataloader'].dataset.source_a, 'ir'),
                               (config[f'{split}_dataloader'].dataset.source_b, 'vi')):
            pattern = source if '{name}' in source else f'{source}/{{name}}.png'
            for pair in '12':
                target = tmp_path / 'data' / pattern.replace('*', 'png').format(name=pair)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes((tmp_path / f'drawn/{folder}/{pair}.png').read_bytes())
    build_runner(config, 'train').train()
    assert (tmp_path / 'work/iter_1.pth').is_file()


@pytest.mark.parametrize('fusion', ['mean', 'l1'])
def test_means_take_any_number_of_sources(fusion):
    torch.manual_seed(0)
    network, sources = AUIF(fusion, steps=2, filters=4).eval(), torch.rand(3, 1, 1, 20, 24)
    assert fuses_stacks(network) and not fuses_stacks(AUIF('sum', steps=2, filters=4))
    with torch.no_grad():
        fused = network.fuse_stack(list(sources))
        torch.testing.assert_close(network.fuse_stack(list(sources.flip(0))), fused)
        assert (fused - network(*sources[:2])).abs().max() > 1e-6
        merged = merge_features([network.encode(source) for source in sources], fusion)
        torch.testing.assert_close(network.decode(Parts(*merged)), fused)
