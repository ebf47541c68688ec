import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from vlfusion.config import load_config
from vlfusion.engine.checkpoints import convert_released, load_model
from vlfusion.engine.runner import build_runner
from vlfusion.errors import CheckpointError, ConfigError, DataError
from vlfusion.models.layers.strips import count_maps, watched
from vlfusion.registry import DATASETS, MODELS, OPTIM_WRAPPERS, REGISTRIES
from vlfusion.testing import check_backbone
from vlfusion.testing.shared import shared
from vlfusion.testing.toys import draw_pairs

cddfuse = pytest.importorskip('vlfusion_cddfuse', reason='pip install --editable plugins/cddfuse')
from vlfusion_cddfuse.losses import decomposition_loss, dssim, gradient_loss, reconstruction_loss  # noqa: E402

CONFIGS = [Path(__file__).parents[1] / f'configs/cddfuse_{name}.py' for name in ('ivf', 'med')]
MODULES = ('encoder', 'decoder', 'base_fusion', 'detail_fusion')
MODEL = dict(type='vlfusion_cddfuse.CDDFuseModel', backbone=dict(type='vlfusion_cddfuse.CDDFuse'),
             losses=[dict(type='MaxIntensityLoss', weight=1.0), dict(type='MaxGradientLoss', weight=10.0)])
SMALL = dict(dim=16, heads=8, blocks=1)


@pytest.fixture(scope='module')
def released():
    """The golden state in the layout of the authors' file."""
    state = {}
    for name, value in load_file(shared('golden/cddfuse/state_dict.safetensors')).items():
        module, _, name = name.partition('.')
        state.setdefault(module, {})[f'module.{name}'] = value
    return state


def images(batch=2, size=(24, 30), seed=0):
    return torch.rand(2, batch, 1, *size, generator=torch.Generator().manual_seed(seed)).unbind()


# ---------------------------------------------------------------------------------------------------------- the network

@pytest.mark.slow
@pytest.mark.parametrize('residual', ['visible', 'sum', 'none'])
@pytest.mark.parametrize('case', range(2))
def test_equals_the_released_network(released, case, residual):
    network = cddfuse.CDDFuse(residual=residual)
    network.load_state_dict(cddfuse.CDDFuse.convert_released(released))
    stored = load_file(shared('golden/cddfuse/forward.safetensors'))
    with torch.no_grad():
        fused = network(stored[f'case{case}.infrared'], stored[f'case{case}.visible'])
    torch.testing.assert_close(fused, stored[f'case{case}.fused_residual_{residual}'], rtol=0, atol=1e-5)


def test_parameter_counts_are_the_released_ones():
    with torch.device('meta'):
        network = cddfuse.CDDFuse()
    counts = [sum(parameter.numel() for parameter in module.parameters()) for module in network.children()]
    assert counts == [599_144, 207_936, 363_016, 18_176]
    assert tuple(dict(network.named_children())) == MODULES


@pytest.mark.slow
@pytest.mark.parametrize('residual', ['visible', 'none'])
def test_what_every_backbone_must_do(residual):
    torch.manual_seed(0)
    check_backbone(cddfuse.CDDFuse(residual, **SMALL))


def test_the_maps_of_both_encodings_are_counted():
    network, parts = cddfuse.CDDFuse(**SMALL), []
    with torch.no_grad(), watched(parts.append):
        network(*images())
    assert sum(parts) == pytest.approx(count_maps(network))


def test_residuals():
    torch.manual_seed(0)
    network = cddfuse.CDDFuse(**SMALL).eval()
    a, b = images()
    with torch.no_grad():
        assert (network(a, b) - network(b, a)).abs().max() > 1e-2
        for network.residual in ('sum', 'none'):
            torch.testing.assert_close(network(a, b), network(b, a), rtol=0, atol=1e-6)
    with pytest.raises(ConfigError, match="Unknown residual 'visable'.*\n.*Did you mean visible"):
        cddfuse.CDDFuse('visable')


def test_coupling_layers_are_invertible():
    torch.manual_seed(0)
    layer = cddfuse.network.CouplingLayer(8).double()
    x = torch.randn(1, 8, 6, 6).double()
    first, second = layer(x).chunk(2, 1)
    first = (first - layer.shift_first(second)) * (-layer.scale_first(second)).exp()
    second = second - layer.shift_second(first)
    torch.testing.assert_close(torch.cat((first, second), 1), layer.mix(x))


@pytest.mark.slow
def test_released_states_convert(released, tmp_path):
    converted = cddfuse.CDDFuse.convert_released(released)
    cddfuse.CDDFuse().load_state_dict(converted)
    assert len({tensor.data_ptr() for tensor in converted.values()}) == 158
    torch.save(released, tmp_path / 'CDDFuse_MIF.pth')
    convert_released('vlfusion_cddfuse.CDDFuse', tmp_path / 'CDDFuse_MIF.pth', tmp_path / 'out.pth', 'mif', 'cddfuse',
                     dict(residual='none'))
    model, experiment = load_model(tmp_path / 'out.pth')
    assert model.backbone.residual == 'none' and experiment['protocol'] == 'cddfuse'
    assert torch.equal(model.backbone.encoder.embed.weight, released['DIDF_Encoder']['module.patch_embed.proj.weight'])


def test_states_of_another_network_are_refused(released):
    convert = cddfuse.CDDFuse.convert_released
    missing = released | dict(DIDF_Decoder={name: value for name, value in released['DIDF_Decoder'].items()
                                            if 'reduce_channel' not in name})
    with pytest.raises(CheckpointError, match=r'lacks 1 of its names:\n +DIDF_Decoder\.reduce_channel\.weight'):
        convert(missing)
    with pytest.raises(CheckpointError, match=r'has 1 unknown names:\n +BaseFuseLayer\.attn\.qkv3\.weight'):
        convert(released | dict(BaseFuseLayer=released['BaseFuseLayer'] | {'module.attn.qkv3.weight': torch.ones(1)}))
    with pytest.raises(CheckpointError, match='lacks 158'):
        convert(dict(weight=torch.ones(1)))
    with pytest.raises(CheckpointError, match='in one file, but got 2'):
        convert(released, released)


# ----------------------------------------------------------------------------------------------------------- the losses

def test_decomposition_loss_by_hand():
    ramp = torch.arange(4.)[None, None, :, None].expand(1, 1, 4, 3)
    across = torch.tensor([-1., 0., 1.]).expand(1, 1, 4, 3)  # uncorrelated with the ramp
    assert decomposition_loss(ramp, ramp, 2 * ramp + 1, -ramp).item() == pytest.approx(1 / 2.01)
    assert decomposition_loss(ramp, ramp, -ramp, ramp).item() == pytest.approx(1 / 0.01, rel=1e-3)
    assert decomposition_loss(ramp, ramp, ramp, across).item() == pytest.approx(0, abs=1e-7)
    # CC is a mean over channels of what is then squared: 1 and 0 give a quarter.
    both, twice = torch.cat((ramp, across), 1), torch.cat((ramp, ramp), 1)
    assert decomposition_loss(twice, both, twice, twice).item() == pytest.approx(0.25 / 2.01)


def test_decomposition_loss_of_a_flat_channel_has_a_finite_gradient():
    flat = torch.zeros(1, 2, 4, 4, requires_grad=True)
    loss = decomposition_loss(flat, flat, torch.rand(1, 2, 4, 4), flat)
    loss.backward()
    assert loss == 0 and flat.grad.isfinite().all()


def test_reconstruction_loss_by_hand():
    dark, bright = torch.full((1, 1, 12, 12), 0.2), torch.full((1, 1, 12, 12), 0.6)
    ssim = (2 * 0.2 * 0.6 + 1e-4) / (0.2 ** 2 + 0.6 ** 2 + 1e-4)  # of flat images; the contrast term is one
    assert dssim(dark, bright).item() == pytest.approx((1 - ssim) / 2, rel=1e-3)
    assert reconstruction_loss(dark, bright).item() == pytest.approx(2.5 * (1 - ssim) + 0.16, rel=1e-3)
    stripes = (torch.arange(32) % 2).float().expand(1, 1, 32, 32)
    assert dssim(stripes, stripes).item() == pytest.approx(0, abs=1e-6)
    assert dssim(stripes, 1 - stripes).item() == pytest.approx(0.5), 'a negative SSIM counts as zero'
    with pytest.raises(DataError, match=r'at least 6x6, but got \(5, 9\)'):
        dssim(torch.rand(1, 1, 5, 9), torch.rand(1, 1, 5, 9))


def test_gradient_loss_by_hand():
    ramp = torch.arange(6.)[None, None, None].expand(1, 1, 5, 6)
    # Of a slope of 1: 8/8 inside, 4/8 in the two columns whose border is repeated, and zero in the other direction.
    assert gradient_loss(ramp, torch.zeros_like(ramp)).item() == pytest.approx((4 * 1 + 2 * 0.5) / 6 / 2)
    assert gradient_loss(ramp + 3, ramp).item() == pytest.approx(0, abs=1e-6)


# --------------------------------------------------------------------------------------------------------- the training

def optimizers(model, lr=1e-4):
    return REGISTRIES['optimizer wrapper constructor'].build(dict(
        type='vlfusion_cddfuse.PerModuleOptimizers',
        optim_wrapper_cfg=dict(optimizer=dict(type='Adam', lr=lr), clip_grad=dict(max_norm=0.01))))(model)


@pytest.mark.slow
def test_four_released_training_steps(released):
    """Two steps of each phase: losses, their parts, and the gradient norm of each module before clipping."""
    golden = json.loads(shared('golden/cddfuse/train_losses.json').read_text())
    batch = load_file(shared('golden/cddfuse/train_batch.safetensors'))
    model = MODELS.build(MODEL)
    model.backbone.load_state_dict(cddfuse.CDDFuse.convert_released(released))
    wrappers = optimizers(model, golden['lr'])
    names = dict(recon_visible='reconstruction_b', recon_infrared='reconstruction_a', intensity='max_intensity')
    for expected in golden['steps']:
        model.phase = expected['phase']
        names['gradient'] = 'gradient' if model.phase == 1 else 'max_gradient'
        logged = model.train_step(dict(source_a=batch['infrared'], source_b=batch['visible']), wrappers)
        parts = expected.keys() - {'step', 'phase', 'grad_norms'}
        assert set(logged) == {names.get(part, part) for part in parts} | {'phase'}
        for part in parts:
            assert logged[names.get(part, part)].item() == pytest.approx(expected[part], rel=1e-4), part
        for name, norm in zip(MODULES, expected['grad_norms'], strict=False):
            found = wrappers[name].message_hub.get_scalar(f'train/{name}.grad_norm').current()
            assert found == pytest.approx(norm, rel=1e-3), name


def test_phase_one_leaves_the_fusion_layers_alone_and_phase_two_trains_all():
    torch.manual_seed(0)
    model = MODELS.build(MODEL | dict(backbone=dict(type='vlfusion_cddfuse.CDDFuse', **SMALL)))
    wrappers = optimizers(model)
    batch = dict(zip(('source_a', 'source_b'), images(), strict=True))
    for model.phase, trained in ((1, MODULES[:2]), (2, MODULES)):
        before = {name: value.clone() for name, value in model.backbone.state_dict().items()}
        model.train_step(batch, wrappers)
        moved = {name.partition('.')[0] for name, value in model.backbone.state_dict().items()
                 if not torch.equal(value, before[name])}
        assert moved == set(trained)
        assert [bool(wrapper.optimizer.state) for wrapper in wrappers.values()] == [name in trained for name in MODULES]


def test_a_step_moves_by_the_clipped_gradient():
    """Clipping is per module: with plain SGD at a rate of 1 each module moves by 0.01, whatever the others do."""
    torch.manual_seed(0)
    model = MODELS.build(MODEL | dict(backbone=dict(type='vlfusion_cddfuse.CDDFuse', **SMALL)))
    model.phase = 2
    config = dict(optimizer=dict(type='SGD', lr=1.0), clip_grad=dict(max_norm=0.01))
    wrappers = cddfuse.PerModuleOptimizers(config)(model)
    before = [torch.nn.utils.parameters_to_vector(module.parameters()).detach() for module in model.backbone.children()]
    model.train_step(dict(zip(('source_a', 'source_b'), images(), strict=True)), wrappers)
    for module, old in zip(model.backbone.children(), before, strict=True):
        step = torch.nn.utils.parameters_to_vector(module.parameters()).detach() - old
        assert step.norm().item() == pytest.approx(0.01, rel=1e-2)


def test_the_detailed_source_is_a_choice():
    torch.manual_seed(0)
    a, b = images()
    logged = {}
    for detailed in 'ab':
        torch.manual_seed(0)
        model = MODELS.build(MODEL | dict(backbone=dict(type='vlfusion_cddfuse.CDDFuse', **SMALL), detailed=detailed))
        model.phase = 1
        logged[detailed] = model(a, b, mode='loss')
    assert logged['a']['gradient'] != logged['b']['gradient']
    assert logged['a']['reconstruction_a'] == logged['b']['reconstruction_a']
    with pytest.raises(ConfigError, match="but got 'visible'"):
        MODELS.build(MODEL | dict(detailed='visible'))


def test_training_without_a_phase_or_losses_is_an_error():
    model = MODELS.build(MODEL | dict(backbone=dict(type='vlfusion_cddfuse.CDDFuse', **SMALL), losses=[]))
    assert model(*images()).shape == (2, 1, 24, 30)
    with pytest.raises(ConfigError, match='phase is not set(.|\n)*PhaseHook'):
        model(*images(), mode='loss')
    model.phase = 2
    with pytest.raises(ConfigError, match='no loss for its second phase'):
        model(*images(), mode='loss')
    with pytest.raises(ConfigError, match='not support paramwise_cfg'):
        cddfuse.PerModuleOptimizers({}, dict(bias_lr_mult=2))


def test_bfloat16_trains():
    torch.manual_seed(0)
    model = MODELS.build(MODEL | dict(backbone=dict(type='vlfusion_cddfuse.CDDFuse', **SMALL)))
    config = dict(type='BFloat16OptimWrapper', optimizer=dict(type='Adam', lr=1e-4))
    wrappers = cddfuse.PerModuleOptimizers(config)(model)
    assert type(wrappers['encoder']) is OPTIM_WRAPPERS.get('BFloat16OptimWrapper')
    batch = dict(zip(('source_a', 'source_b'), images(), strict=True))
    for model.phase in (1, 2):
        with torch.no_grad():
            expected = model(**batch, mode='loss')['loss']
        assert model.train_step(batch, wrappers)['loss'].item() == pytest.approx(expected.item(), rel=0.05)
    assert all(parameter.isfinite().all() for parameter in model.parameters())


# ------------------------------------------------------------------------------- through the runner, from the configs

@pytest.fixture
def toy(tmp_path):
    """A function that builds a config of this plugin for four steps, two of each phase, on toy pairs."""
    def config(path, **options):
        built = load_config(path, {'data_root': str(tmp_path / 'data'), 'work_dir': str(tmp_path / 'work')})
        for split in ('train', 'test'):
            dataset = built[f'{split}_dataloader'].dataset
            for part in (dataset.get('subsets') or {'': dataset}).values():
                draw_pairs(tmp_path / 'data', ['p0', 'p1', 'p2'], part.source_a, part.source_b, size=(44, 56))
        for split in ('train', 'val', 'test'):
            built[f'{split}_dataloader'].update(num_workers=0, persistent_workers=False)
        built.train_dataloader.dataset.update(size=24, stride=16)
        built.train_dataloader.batch_size = 2
        built.model.backbone.update(SMALL)
        built.custom_hooks[1].switch = 2
        built.train_cfg.update(max_iters=4, val_begin=4, val_interval=4)
        for name, schedulers in built.param_scheduler.items():
            schedulers[0].update(step_size=1, **(dict(begin=2) if name.endswith('fusion') else {}))
        built.default_hooks.logger.interval = 1
        built.default_hooks.checkpoint.update(interval=1, max_keep_ckpts=-1)
        built.merge_from_dict(options)
        return built
    config.work = tmp_path / 'work'
    return config


@pytest.mark.slow
@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config_trains_through_both_phases_and_validates(toy, path):
    build_runner(toy(path), 'train').train()
    log = next(toy.work.glob('*/*.log')).read_text()
    assert log.count('CDDFuse: phase I from iteration 0 on') == 1
    assert log.count('CDDFuse: phase II from iteration 2 on') == 1
    scalars = [json.loads(line) for line in next(toy.work.glob('*/vis_data/scalars.json')).read_text().splitlines()]
    steps = [line for line in scalars if 'loss' in line]
    assert [line['phase'] for line in steps] == [1, 1, 2, 2]
    assert ['reconstruction_a' in line for line in steps] == [True, True, False, False]
    assert ['max_intensity' in line for line in steps] == [False, False, True, True]
    assert [line['encoder.lr'] for line in steps] == [1e-4, 5e-5, 2.5e-5, 1.25e-5]
    assert [line['base_fusion.lr'] for line in steps] == [1e-4, 1e-4, 1e-4, 5e-5]
    assert scalars[-1].keys() >= {'EN', 'SCD', 'SSIM'}
    model, experiment = load_model(toy.work / 'iter_4.pth')
    assert type(model) is cddfuse.CDDFuseModel and experiment['protocol'] == 'cddfuse'


@pytest.mark.slow
def test_a_run_may_be_shorter_than_phase_one(toy):
    build_runner(toy(CONFIGS[0], **{'train_cfg.max_iters': 1}), 'train').train()
    assert (toy.work / 'iter_1.pth').is_file()


@pytest.mark.slow
@pytest.mark.parametrize('done', [1, 2, 3])
def test_resuming_in_either_phase_is_bit_equal(toy, tmp_path, done):
    options = dict(val_dataloader=None, val_cfg=None, val_evaluator=None)
    build_runner(toy(CONFIGS[0], **options), 'train').train()
    resumed = tmp_path / 'resumed'
    resumed.mkdir()
    shutil.copy(toy.work / f'iter_{done}.pth', resumed)
    build_runner(toy(CONFIGS[0], **options, work_dir=str(resumed), resume=True), 'train').train()
    whole, again = (torch.load(folder / 'iter_4.pth', weights_only=True) for folder in (toy.work, resumed))
    assert all(torch.equal(value, again['state_dict'][name]) for name, value in whole['state_dict'].items())
    for name in MODULES:
        assert whole['optimizer'][name]['param_groups'] == again['optimizer'][name]['param_groups']
        assert whole['param_schedulers'][name] == again['param_schedulers'][name]
        states = (checkpoint['optimizer'][name]['state'].values() for checkpoint in (whole, again))
        moments = zip(*states, strict=True)
        assert all(torch.equal(one[key], other[key]) for one, other in moments for key in one)
    assert whole['optimizer']['encoder']['state'][0]['step'] == 4
    assert whole['optimizer']['base_fusion']['state'][0]['step'] == 2


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_schedule_is_the_released_one(path):
    """Rates at the start of each epoch, with epochs of one step; those of the fusion layers fall from phase II on."""
    config = load_config(path)
    epoch = config.EPOCH
    assert config.train_cfg.max_iters == 120 * epoch and config.custom_hooks[1].switch == 40 * epoch
    rates = {}
    for name, (scheduler,) in config.param_scheduler.items():
        adam = torch.optim.Adam([torch.nn.Parameter(torch.ones(1))], config.optim_wrapper.optimizer.lr)
        shorter = dict(step_size=scheduler.step_size // epoch, begin=scheduler.get('begin', 0) // epoch)
        built = REGISTRIES['parameter scheduler'].build(dict(scheduler, **shorter, optimizer=adam))
        rates[name] = []
        for _ in range(120):
            rates[name].append(adam.param_groups[0]['lr'])
            adam.step()
            built.step()
    for name in MODULES[:2]:
        assert rates[name] == pytest.approx([1e-4 * 0.5 ** (number // 20) for number in range(120)])
    for name in MODULES[2:]:
        assert rates[name] == pytest.approx([1e-4 * 0.5 ** (max(0, number - 40) // 20) for number in range(120)])


# ------------------------------------------------------------------------------------------------------------- the data

def patches(root, **options):
    return DATASETS.build(dict(type='vlfusion_cddfuse.PatchDataset', task='ivf', data_root=str(root), source_a='ir',
                               source_b='vi', size=8, stride=10, pipeline=[dict(type='PackPair')]) | options)


@pytest.fixture
def folder(tmp_path):
    draw_pairs(tmp_path, ['p0', 'p1'], size=(28, 39))
    return tmp_path


def test_patches_are_a_grid_that_starts_at_the_corner(folder):
    dataset = patches(folder, contrast=0)
    assert dataset.patches == [(pair, top, left) for pair in (0, 1) for top in (0, 10, 20) for left in (0, 10, 20, 30)]
    sample, image = dataset[12 + 4 + 3], cv2.imread(str(folder / 'ir/p1.png'), cv2.IMREAD_GRAYSCALE)
    assert sample['name'] == 'p1_10_30' and sample['path_a'] == str(folder / 'ir/p1.png')
    assert np.array_equal((sample['source_a'][0].numpy() * 255).round(), image[10:18, 30:38])
    assert sample['source_b'].shape == (1, 8, 8) and sample['source_b'].dtype == torch.float32


def test_luminance_of_training_patches_is_not_rounded(folder):
    blue, green, red = cv2.imread(str(folder / 'vi/p0.png'))[..., :].transpose(2, 0, 1)[:, :8, :8].astype(np.float64)
    expected = 0.299 * red + 0.587 * green + 0.114 * blue
    np.testing.assert_allclose(patches(folder, contrast=0)[0]['source_b'][0].numpy() * 255, expected, atol=1e-3)


def test_pairs_of_which_either_patch_has_low_contrast_are_dropped(folder):
    for source, left in (('ir', 0), ('vi', 30)):
        image = cv2.imread(str(folder / f'{source}/p0.png'))
        image[:8, left:left + 8] = 100
        image[:4, left:left + 8] = 109  # (109 - 100) / 109 = 0.083
        cv2.imwrite(str(folder / f'{source}/p0.png'), image)
    kept = patches(folder, contrast=0).patches
    assert [patch for patch in kept if patch not in patches(folder, contrast=0.08).patches] == []
    dropped = [patch for patch in kept if patch not in patches(folder, contrast=0.1).patches]
    assert {(0, 0, 0), (0, 0, 30)} <= set(dropped)
    for patch, sample in zip(kept, map(patches(folder, contrast=0).__getitem__, range(len(kept))), strict=True):
        levels = [np.percentile(sample[source], (90, 10)) for source in ('source_a', 'source_b')]
        assert (patch in dropped) == (min((high - low) / high for high, low in levels) < 0.1)


def test_black_patches_are_kept_as_released(folder):
    image = cv2.imread(str(folder / 'ir/p0.png'))
    image[:8, :8] = 0
    cv2.imwrite(str(folder / 'ir/p0.png'), image)
    assert (0, 0, 0) in patches(folder).patches


def test_what_cannot_be_cut_is_an_error(folder):
    with pytest.raises(DataError, match=r'2 pairs are smaller than a patch of 32x32:\n.*p0.png and its partner: 39x28'):
        patches(folder, size=32)
    with pytest.raises(DataError, match='None of the 24 patches of .* has a contrast of 2'):
        patches(folder, contrast=2)


@pytest.mark.slow
def test_real_pairs():
    dataset = patches(shared('data/ivf/RoadScene_train'), size=128, stride=200)
    assert len(dataset) == 514 and len(dataset.pairs) == 171
    assert dataset[0]['source_a'].shape == (1, 128, 128)
