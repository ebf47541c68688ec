"""DenseFuse against numbers of the authors' PyTorch version.

The numbers in `data/` were made by it once, in float64, from the states and images that `drawn_state` and `levels`
draw: `released_forward.npz` by its network, `released_losses.json` by its loss and its training step. Its window, which
it makes in float32, was made in float64; the exponents of its scales stayed in float32.
"""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vlfusion.testing.released import check_conversion
from vlfusion.testing.toys import QUICK, draw_pairs

pytest.importorskip('vlfusion_densefuse', reason='pip install --editable plugins/densefuse')

from vlfusion_densefuse import DenseFuse, DenseFuseModel, ImageDataset  # noqa: E402
from vlfusion_densefuse.losses import multi_scale_similarity  # noqa: E402

from vlfusion.config import load_config
from vlfusion.engine.checkpoints import load_model
from vlfusion.engine.released import convert_released, find_released
from vlfusion.engine.runner import build_runner
from vlfusion.errors import CheckpointError, ConfigError, DataError
from vlfusion.models.layers.merging import MERGING_RULES, merge_features
from vlfusion.models.stacks import fuses_stacks
from vlfusion.registry import BACKBONES, MODELS, OPTIM_WRAPPERS
from vlfusion.testing import check_backbone
from vlfusion.zoo.entries import get_model

CONFIGS = Path(__file__).parents[1] / 'configs'
DATA = Path(__file__).parent / 'data'
LOSSES = json.loads((DATA / 'released_losses.json').read_text())
#: The released names: kernels of 3x3 (out, in) by layer.
LAYERS = {'conv1': (16, 1), 'conv2': (64, 64), 'conv3': (32, 64), 'conv4': (16, 32), 'conv5': (1, 16),
          **{f'DB1.denseblock.{i}.dense_conv': (16, 16 * (i + 1)) for i in range(3)}}


def drawn_state(seed=7):
    """A random state in the released names, scaled so that images stay images."""
    shapes = {f'{layer}.conv2d.{part}': (out, channels, 3, 3) if part == 'weight' else (out,)
              for layer, (out, channels) in LAYERS.items() for part in ('weight', 'bias')}
    generator = np.random.default_rng(seed)
    state = {}
    for name in sorted(shapes):
        inputs = np.prod(shapes[name][1:])
        drawn = (generator.normal(2, 4, shapes[name]) if name.endswith('bias')
                 else generator.normal(0.8 / inputs, 0.7 / np.sqrt(inputs), shapes[name]))
        state[name] = torch.from_numpy(drawn)
    return state


def levels(generator, size):
    return torch.from_numpy(generator.integers(0, 256, (2, 1, *size)).astype(float))


@pytest.fixture
def densefuse():
    network = DenseFuse().double().eval()
    network.load_state_dict(DenseFuse.convert_released(drawn_state()))
    return network


def test_equals_the_released_network(densefuse):
    generator = np.random.default_rng(11)
    a, b = (levels(generator, (18, 23)) / 255 for _ in 'ab')
    expected = torch.from_numpy(np.load(DATA / 'released_forward.npz')['fused'])
    with torch.no_grad():
        torch.testing.assert_close(255 * densefuse(a, b), expected, rtol=1e-11, atol=0)
        torch.testing.assert_close(255 * densefuse.float()(a.float(), b.float()).double(), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize('case', LOSSES['similarity'])
def test_similarity_equals_the_released_one(case):
    seed, height, width, top = map(int, case.split())
    generator = np.random.default_rng(seed)
    x, y = (torch.from_numpy(generator.uniform(0, top, (2, 1, height, width))) for _ in 'xy')
    value = multi_scale_similarity(0.5 * (x + y), y).item()
    assert value == pytest.approx(LOSSES['similarity'][case], rel=2e-8)


def test_similarity_is_one_for_equal_images_and_needs_room():
    image = levels(np.random.default_rng(0), (40, 40))
    assert multi_scale_similarity(image, image).item() == pytest.approx(1, abs=1e-12)
    with pytest.raises(DataError, match='at least 32x32'):
        multi_scale_similarity(image[..., :20], image[..., :20])


def model(**options):
    backbone = dict(type='vlfusion_densefuse.DenseFuse')
    return MODELS.build(dict(type='vlfusion_densefuse.DenseFuseModel', backbone=backbone, **options))


@pytest.mark.slow
def test_training_steps_equal_the_released_ones():
    net = model(images='a').double().train()
    net.backbone.load_state_dict(DenseFuse.convert_released(drawn_state()))
    image = levels(np.random.default_rng(5), (48, 48)) / 255
    before = {name: value.clone() for name, value in net.named_parameters()}
    wrapper = OPTIM_WRAPPERS.build(dict(type='OptimWrapper', optimizer=torch.optim.Adam(net.parameters(), 1e-4)))
    for expected in LOSSES['steps']:
        logged = net.train_step(dict(source_a=image, source_b=torch.zeros_like(image), name=['1', '2']), wrapper)
        assert {name: value.item() for name, value in logged.items()} == pytest.approx(expected, rel=1e-7)
    assert all(not torch.equal(value, before[name]) for name, value in net.named_parameters())
    with torch.no_grad():
        restored = 255 * net.backbone.decode(net.backbone.encode(image))
    assert restored.mean().item() == pytest.approx(LOSSES['after'], rel=1e-7)


def test_both_sources_are_restored_and_the_weight_enters():
    torch.manual_seed(0)
    pair = dict(zip(('source_a', 'source_b'), levels(np.random.default_rng(0), (40, 40))[:, None] / 255, strict=True))
    pair = {key: value.float() for key, value in pair.items()}
    both, alone = model(structure_weight=3), model(structure_weight=3, images='a')
    alone.load_state_dict(both.state_dict())
    logged = both(**pair, mode='loss')
    torch.testing.assert_close(logged['loss'], logged['pixel'] + 3 * logged['structure'])
    swapped = dict(source_a=pair['source_b'], source_b=pair['source_a'])
    singles = [alone(**sources, mode='loss')['pixel'] for sources in (pair, swapped)]
    torch.testing.assert_close(logged['pixel'], sum(singles) / 2)
    with pytest.raises(ConfigError, match="Use 'ab' or 'a'"):
        model(images='b')


def test_modes_other_than_loss_fuse():
    net = model().eval()
    a, b = torch.rand(2, 1, 1, 20, 24, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(net(a, b), net.backbone(a, b))
        assert net(a, b, name=['x'], mode='predict')[0]['name'] == 'x'


@pytest.mark.parametrize('fusion', MERGING_RULES)
def test_what_every_backbone_must_do(fusion):
    torch.manual_seed(0)
    network = DenseFuse(fusion, dim=8)
    with torch.no_grad():
        network.decoder[3][0].bias.fill_(60)  # or the last rectifier may be dead at the start
    check_backbone(network)


def test_parameter_count():
    assert sum(parameter.numel() for parameter in DenseFuse().parameters()) == 74_193


def test_equal_sources_are_restored_by_the_mean_and_by_activity(densefuse):
    image = levels(np.random.default_rng(0), (20, 24)) / 255
    with torch.no_grad():
        restored = densefuse.decode(densefuse.encode(image))
        for fusion in ('mean', 'l1'):
            densefuse.fusion = fusion
            torch.testing.assert_close(densefuse(image, image), restored, rtol=0, atol=1e-12)
        densefuse.fusion = 'sum'
        assert (densefuse(image, image) - restored).abs().max() > 0.05


def test_activity_decides_where_only_one_source_has_any():
    a, b = torch.zeros(1, 2, 5, 9), torch.zeros(1, 2, 5, 9)
    a[..., :3], b[..., 6:] = 0.4, 0.8
    a[..., 1], b[..., 1] = 3., 1.  # beside column 0: the 3x3 mean of a is to that of b as 3.4 to 1
    fused = merge_features([[a], [b]], 'l1')[0]
    assert fused[0, 0, 2, 8].item() == pytest.approx(0.8) and fused[0, 0, 2, 4].item() == 0
    assert fused[0, 0, 2, 0].item() == pytest.approx(0.4 * 3.4 / 4.4)


def test_bright_output_is_clamped(densefuse):
    with torch.no_grad():
        densefuse.decoder[3][0].bias.fill_(400)
        image = torch.ones(1, 1, 12, 12, dtype=torch.float64)
        assert densefuse(image, image).max() == 1
        assert densefuse.decode(densefuse.encode(image)).max() > 1


def test_a_single_row_is_refused(densefuse):
    row = torch.zeros(1, 1, 1, 20, dtype=torch.float64)
    with pytest.raises(DataError, match='at least 2x2'):
        densefuse(row, row)


def test_no_such_fusion_rule():
    with pytest.raises(ConfigError, match='Did you mean mean'):
        BACKBONES.build(dict(type='vlfusion_densefuse.DenseFuse', fusion='men'))


def test_states_of_another_network_are_refused():
    check_conversion(DenseFuse(), drawn_state(), missing='conv5.conv2d.bias', unknown='conv6.weight')


def test_a_checkpoint_of_a_released_state_says_how_it_becomes_grey_levels(tmp_path):
    torch.save(drawn_state(), tmp_path / 'theirs.model')
    convert_released('vlfusion_densefuse.DenseFuse', tmp_path / 'theirs.model', tmp_path / 'ours.pth', 'ivf')
    converted, experiment = load_model(tmp_path / 'ours.pth')
    assert experiment['protocol'] == 'truncate' and isinstance(converted.backbone, DenseFuse)
    with pytest.raises(CheckpointError, match=r'densefuse_gray\.model is missing'):
        find_released(get_model('densefuse-ivf'), tmp_path)


def test_a_data_set_of_single_images(tmp_path):
    draw_pairs(tmp_path, ['3', '1', '2'])
    data = ImageDataset('ivf', tmp_path, 'vi', first=2, pipeline=[dict(type='LoadPair'), dict(type='PackPair')])
    assert len(data) == 2 and [data[i]['name'] for i in range(2)] == ['1', '2']
    assert torch.equal(data[1]['source_a'], data[1]['source_b'])
    with pytest.raises(DataError, match='no image of the images fits'):
        ImageDataset('ivf', tmp_path, 'train2014')
    with pytest.raises(DataError, match='There is no folder'):
        ImageDataset('ivf', tmp_path / 'nowhere', 'vi')
    (tmp_path / 'vi/2.png').write_bytes(b'no image')
    with pytest.raises(DataError, match='1 images'):
        ImageDataset('ivf', tmp_path, 'vi')


@pytest.mark.slow
def test_the_config_takes_one_step_on_photographs_of_two_sizes(tmp_path):
    draw_pairs(tmp_path / 'pairs', ['1', '2'])
    for name, shape in (('1', (60, 80, 3)), ('2', (70, 50))):
        (tmp_path / 'train2014').mkdir(exist_ok=True)
        image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f'train2014/{name}.jpg'), image)
    options = {**QUICK, 'train_dataloader.dataset.data_root': str(tmp_path), 'work_dir': str(tmp_path / 'work'),
               'val_dataloader.dataset.data_root': str(tmp_path / 'pairs'), 'model.backbone.dim': 2,
               'train_cfg.max_iters': 1, 'train_cfg.val_interval': 1, 'train_dataloader.batch_size': 2,
               'default_hooks.checkpoint.interval': 1}
    runner = build_runner(load_config(CONFIGS / 'densefuse_coco.py', options), 'train')
    assert next(iter(runner.train_dataloader))['source_a'].shape == (2, 1, 256, 256)
    runner.train()
    assert (tmp_path / 'work/iter_1.pth').is_file()


def test_the_sample_config_builds():
    assert isinstance(MODELS.build(load_config(CONFIGS / 'densefuse_ivf_sample.py').model), DenseFuseModel)


@pytest.mark.parametrize('fusion', ['mean', 'l1'])
def test_means_take_any_number_of_sources(fusion):
    torch.manual_seed(0)
    network, sources = DenseFuse(fusion, dim=8).double().eval(), torch.rand(3, 1, 1, 20, 24, dtype=torch.float64)
    assert fuses_stacks(network) and not fuses_stacks(DenseFuse('sum', dim=8))
    with torch.no_grad():
        network.decoder[3][0].bias.fill_(60)  # or the last rectifier may be dead at the start
        fused = network.fuse_stack(list(sources))
        torch.testing.assert_close(network.fuse_stack(list(sources.flip(0))), fused)
        assert (fused - network(*sources[:2])).abs().max() > 1e-6
        merged = merge_features([(network.encode(source),) for source in sources], fusion)
        torch.testing.assert_close(network.decode(*merged), fused)
