from math import tanh
from pathlib import Path

import numpy as np
import pytest
import torch

from vlfusion.cli import main
from vlfusion.config import load_config
from vlfusion.engine.compat import load_checkpoint_file
from vlfusion.engine.runner import build_runner
from vlfusion.errors import CheckpointError, ConfigError
from vlfusion.imaging.images import luminance, read_image, write_image
from vlfusion.imaging.protocol import get_protocol
from vlfusion.models.layers.merging import merge_features
from vlfusion.models.stacks import fuses_stacks
from vlfusion.registry import BACKBONES, MODELS, OPTIM_WRAPPERS
from vlfusion.testing import check_backbone
from vlfusion.testing.shared import shared
from vlfusion.testing.toys import draw_pairs
from vlfusion.zoo.entries import get_model

pytest.importorskip('vlfusion_didfuse', reason='pip install --editable plugins/didfuse')
from vlfusion_didfuse import DIDFuse, DIDFuseModel  # noqa: E402
from vlfusion_didfuse.losses import decomposition_loss, dissimilarity, gradient_loss, reconstruction_loss  # noqa: E402
from vlfusion_didfuse.model import Features  # noqa: E402

CONFIGS = Path(__file__).parents[1] / 'configs'


@pytest.fixture(scope='module')
def released():
    return [load_checkpoint_file(shared('zoo/didfuse') / f'{part}_weight_IJCAI.pkl') for part in ('Encoder', 'Decoder')]


@pytest.fixture(scope='module')
def didfuse(released):
    didfuse = DIDFuse().eval()
    didfuse.load_state_dict(DIDFuse.convert_released(*released))
    return didfuse


def read(path):
    return torch.from_numpy(luminance(read_image(path)))[None, None]


@pytest.mark.slow
@pytest.mark.parametrize('pair', ['ivf_1', 'ivf_2'])
def test_equals_the_authors_pictures_to_one_grey_level(didfuse, pair):
    folder = shared('zoo/didfuse')
    with torch.no_grad():
        fused = didfuse(read(folder / f'{pair}_infrared.jpg'), read(folder / f'{pair}_visible.jpg'))
    ours = get_protocol(get_model('didfuse-ivf').protocol).quantise(fused)[0, 0].numpy().astype(int)
    difference = np.abs(ours - read_image(folder / f'{pair}_fused.png'))
    assert difference.max() <= 1 and (difference > 0).mean() < 1e-3


@pytest.mark.parametrize('fusion', ['sum', 'mean', 'l1'])
def test_what_every_backbone_must_do(fusion):
    torch.manual_seed(0)
    check_backbone(DIDFuse(fusion, dim=8))


def test_parameter_count():
    assert sum(parameter.numel() for parameter in DIDFuse().parameters()) == 260_935


def test_equal_sources_are_restored_by_the_mean_and_by_activity(didfuse):
    image = torch.rand(1, 1, 20, 24, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        restored = didfuse.decode(didfuse.encode(image))
        for fusion in ('mean', 'l1'):
            other = DIDFuse(fusion).eval()
            other.load_state_dict(didfuse.state_dict())
            torch.testing.assert_close(other(image, image), restored, rtol=0, atol=1e-5)
        assert (didfuse(image, image) - restored).abs().max() > 0.01


def test_states_of_another_network_are_refused(released):
    encoder, decoder = (part['weight'] for part in released)
    missing = {name: value for name, value in decoder.items() if name != 'cov7.cov7.1.bias'}
    with pytest.raises(CheckpointError, match=r'lacks 1 of its names:\n +cov7\.cov7\.1\.bias'):
        DIDFuse.convert_released(encoder, missing)
    with pytest.raises(CheckpointError, match=r'has 1 unknown names:\n +cov8\.weight'):
        DIDFuse.convert_released(encoder, {**decoder, 'cov8.weight': torch.zeros(1)})
    with pytest.raises(CheckpointError, match='lacks 23 of its names'):
        DIDFuse.convert_released(released[0])
    assert DIDFuse.convert_released({f'module.{name}': value for name, value in encoder.items()}, decoder).keys() \
        == DIDFuse().state_dict().keys()


def test_no_such_fusion_rule():
    with pytest.raises(ConfigError, match='Did you mean sum'):
        BACKBONES.build(dict(type='vlfusion_didfuse.DIDFuse', fusion='summ'))


def test_a_window_of_the_released_picture(tmp_path):
    folder = shared('zoo/didfuse')
    window = (slice(100, 160), slice(200, 280))
    for name in ('infrared', 'visible'):
        write_image(tmp_path / f'{name}.png', read_image(folder / f'ivf_2_{name}.jpg')[window])
    sources = [str(tmp_path / f'{name}.png') for name in ('infrared', 'visible')]
    out, fused = str(tmp_path / 'didfuse.pth'), str(tmp_path / 'fused.png')
    assert main(['prepare-data', 'weights', 'didfuse-ivf', '--from', str(folder), '--out', out]) == 0
    assert main(['fuse', out, *sources, '-o', fused]) == 0
    inside = (slice(6, -6), slice(6, -6))  # six convolutions see six pixels beyond the window
    expected = read_image(folder / 'ivf_2_fused.png')[window][inside]
    assert np.abs(read_image(fused)[inside].astype(int) - expected).max() <= 1


def test_losses_by_hand():
    zero = torch.zeros(1, 2, 3, 3)
    assert decomposition_loss(zero, zero + 0.3, zero, zero - 0.7, 0.5).item() == pytest.approx(
        tanh(0.3) - 0.5 * tanh(0.7), rel=1e-4)
    a, b = torch.full((1, 1, 12, 12), 0.2), torch.full((1, 1, 12, 12), 0.6)
    ssim = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)  # constant images have no variance
    assert dissimilarity(a, b).item() == pytest.approx((1 - ssim) / 2, rel=1e-4)
    assert reconstruction_loss(a, b, 5).item() == pytest.approx(0.4**2 + 5 * (1 - ssim) / 2, rel=1e-4)
    ramp = (0.1 * torch.arange(4.)).expand(1, 1, 5, 4)
    # Across: 0.1 inside, half of that at the repeated border; down: nothing; the mean is over both directions.
    assert gradient_loss(ramp, torch.zeros_like(ramp)).item() == pytest.approx((0.05 + 0.1 + 0.1 + 0.05) / 4 / 2)


def test_opposite_structure_counts_as_none():
    image = torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(0))
    assert dissimilarity(image, image).item() == pytest.approx(0, abs=1e-6)
    assert dissimilarity(image, 1 - image).item() == pytest.approx(0.5)


@pytest.fixture
def batch():
    torch.manual_seed(0)
    folder = shared('zoo/didfuse')
    return dict(source_a=read(folder / 'ivf_1_infrared.jpg')[..., 100:148, 200:248],
                source_b=read(folder / 'ivf_1_visible.jpg')[..., 100:148, 200:248], name=['1'])


def model(**options):
    return MODELS.build(dict(type='vlfusion_didfuse.DIDFuseModel',
                             backbone=dict(type='vlfusion_didfuse.DIDFuse', dim=8), **options))


def test_training_steps_lower_the_loss_and_reach_every_parameter(batch):
    torch.manual_seed(0)
    net = model().train()
    before = {name: value.clone() for name, value in net.named_parameters()}
    wrapper = OPTIM_WRAPPERS.build(dict(type='OptimWrapper', optimizer=torch.optim.Adam(net.parameters(), 1e-3)))
    logged = [net.train_step(batch, wrapper) for _ in range(6)]
    assert logged[-1]['loss'] < logged[0]['loss']
    assert all(not torch.equal(value, before[name]) for name, value in net.named_parameters())
    terms = logged[0]
    assert set(terms) == {'loss', 'decomposition', 'infrared', 'visible', 'gradient'}
    total = terms['decomposition'] + 2 * terms['infrared'] + 2 * terms['visible'] + 10 * terms['gradient']
    torch.testing.assert_close(terms['loss'], total)


def test_weights_enter_the_loss(batch):
    torch.manual_seed(0)
    net = model(infrared_weight=0, visible_weight=0, detail_weight=0, gradient_weight=0).eval()
    logged = net(**batch, mode='loss')
    infrared, visible = net.backbone.encode(batch['source_a']), net.backbone.encode(batch['source_b'])
    torch.testing.assert_close(logged['loss'], (infrared.background - visible.background).abs().mean().tanh())


def test_modes_other_than_loss_fuse(batch):
    net = model().eval()
    with torch.no_grad():
        fused = net(**batch)
        torch.testing.assert_close(fused, net.backbone(batch['source_a'], batch['source_b']))
        predicted = net(**batch, mode='predict')
    assert predicted[0]['name'] == '1' and torch.equal(predicted[0]['fused'], fused[0])
    with pytest.raises(ConfigError, match='Unknown mode'):
        net(**batch, mode='train')


@pytest.mark.slow
def test_the_config_takes_one_step_on_toy_pairs_laid_out_as_the_authors_are(tmp_path):
    root = tmp_path / 'data'
    draw_pairs(root, ['1', '2'], size=(140, 150))
    for source, path_a in (('ir', 'IR'), ('vi', 'VIS')):
        for name in '12':
            for target in (f'Train_data_FLIR/{path_a}/{path_a}/{path_a}{name}.png',
                           f'Test_data_FLIR/{path_a}{name}.png'):
                (root / target).parent.mkdir(parents=True, exist_ok=True)
                (root / target).write_bytes((root / source / f'{name}.png').read_bytes())
    options = {'data_root': str(root), 'work_dir': str(tmp_path / 'work'), 'model.backbone.dim': 4,
               'train_cfg.max_iters': 1, 'train_cfg.val_interval': 1, 'train_dataloader.batch_size': 2,
               'default_hooks.checkpoint.interval': 1}
    for split in ('train', 'val', 'test'):
        options |= {f'{split}_dataloader.num_workers': 0, f'{split}_dataloader.persistent_workers': False}
    runner = build_runner(load_config(CONFIGS / 'didfuse_ivf.py', options), 'train')
    assert next(iter(runner.train_dataloader))['source_a'].shape == (2, 1, 128, 128)
    runner.train()
    assert (tmp_path / 'work/iter_1.pth').is_file()


def test_the_sample_config_builds():
    assert isinstance(MODELS.build(load_config(CONFIGS / 'didfuse_ivf_sample.py').model), DIDFuseModel)


def test_activity_decides_where_only_one_source_has_any():
    a = torch.zeros(1, 2, 5, 9)
    b = torch.zeros(1, 2, 5, 9)
    a[..., :3], b[..., 6:] = 0.4, -0.8
    a[..., 1], b[..., 1] = 3., 1.  # beside column 0: the 3x3 mean of |a| is to that of |b| as 3.4 to 1
    fused = merge_features([[a], [b]], 'l1')[0]
    assert fused[0, 0, 2, 8].item() == pytest.approx(-0.8) and fused[0, 0, 2, 4].item() == 0
    assert fused[0, 0, 2, 0].item() == pytest.approx(0.4 * 3.4 / 4.4)


@pytest.mark.parametrize('fusion', ['mean', 'l1'])
def test_means_take_any_number_of_sources(fusion):
    torch.manual_seed(0)
    network, sources = DIDFuse(fusion, dim=8).double().eval(), torch.rand(3, 1, 1, 20, 24, dtype=torch.float64)
    assert fuses_stacks(network) and not fuses_stacks(DIDFuse('sum', dim=8))
    with torch.no_grad():
        fused = network.fuse_stack(list(sources))
        torch.testing.assert_close(network.fuse_stack(list(sources.flip(0))), fused)
        assert (fused - network(*sources[:2])).abs().max() > 1e-6
        merged = merge_features([network.encode(source) for source in sources], fusion)
        torch.testing.assert_close(network.decode(Features(*merged)), fused)
