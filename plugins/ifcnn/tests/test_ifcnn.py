from pathlib import Path

import numpy as np
import pytest
import torch

from vlfusion.config import load_config
from vlfusion.engine.compat import load_checkpoint_file
from vlfusion.engine.runner import build_runner
from vlfusion.errors import CheckpointError, ConfigError
from vlfusion.imaging.images import luminance, read_image
from vlfusion.imaging.protocol import get_protocol
from vlfusion.registry import BACKBONES, MODELS, OPTIM_WRAPPERS
from vlfusion.testing import check_backbone
from vlfusion.testing.released import check_conversion
from vlfusion.testing.shared import shared
from vlfusion.testing.toys import draw_pairs
from vlfusion.zoo.entries import get_model

pytest.importorskip('vlfusion_ifcnn', reason='pip install --editable plugins/ifcnn')
from vlfusion_ifcnn.model import FUSION_RULES, IFCNN  # noqa: E402

CONFIGS = Path(__file__).parents[1] / 'configs'
#: The authors' own pairs and results, with the extension of the sources.
PAIRS = [('ivf_Camp', 'infrared.png', 'visible.png'), ('ivf_Road', 'infrared.png', 'visible.png'),
         ('mif_c01', '1.tif', '2.tif'), ('mif_c05', '1.tif', '2.tif')]


@pytest.fixture(scope='module')
def released():
    return load_checkpoint_file(shared('zoo/ifcnn') / 'IFCNN-MAX.pth')


@pytest.fixture(scope='module')
def ifcnn(released):
    ifcnn = IFCNN().eval()
    ifcnn.load_state_dict(IFCNN.convert_released(released))
    return ifcnn


def read(path):
    return torch.from_numpy(luminance(read_image(path)))[None, None]


@pytest.mark.slow
@pytest.mark.parametrize(('name', 'a', 'b'), PAIRS, ids=[pair[0] for pair in PAIRS])
def test_equals_the_authors_pictures_to_one_grey_level(ifcnn, name, a, b):
    folder = shared('zoo/ifcnn')
    with torch.no_grad():
        fused = ifcnn(read(folder / f'{name}_{a}'), read(folder / f'{name}_{b}'))
    ours = get_protocol(get_model(f'ifcnn-{name[:3]}').protocol).quantise(fused)[0, 0].numpy().astype(int)
    difference = np.abs(ours - read_image(folder / f'{name}_fused.png'))
    assert difference.max() <= 1 and difference.mean() < 0.16


@pytest.mark.parametrize(('name', 'a', 'b'), PAIRS[::2], ids=[pair[0] for pair in PAIRS[::2]])
def test_cutting_each_channel_as_the_authors_do_leaves_no_difference(ifcnn, name, a, b):
    """They cut red, green and blue before they mix them to grey; we cut the grey. All else is the same."""
    folder = shared('zoo/ifcnn')
    with torch.no_grad():
        sources = [read(folder / f'{name}_{end}').expand(-1, 3, -1, -1) for end in (a, b)]
        colour = (ifcnn.fuse_colour(*sources).clamp(0, 1) * 255).floor()
    grey = luminance(colour[0].permute(1, 2, 0).numpy()[..., ::-1].astype(np.uint8)) * 255
    difference = np.abs(np.round(grey) - read_image(folder / f'{name}_fused.png'))
    assert difference.max() <= 1 and (difference > 0).mean() < 1e-3


def test_order_of_sources_does_not_matter_and_normalisation_does(released, ifcnn):
    a, b = torch.rand(2, 1, 1, 24, 32).unbind()
    normalised = IFCNN(normalise=True).eval()
    normalised.load_state_dict(IFCNN.convert_released(released))
    with torch.no_grad():
        torch.testing.assert_close(ifcnn(a, b), ifcnn(b, a), rtol=0, atol=0)
        assert (normalised(a, b) - ifcnn(a, b)).abs().max() > 0.02


@pytest.mark.parametrize('fusion', ['max', 'mean', 'sum'])
def test_what_every_backbone_must_do(fusion):
    torch.manual_seed(0)
    check_backbone(IFCNN(fusion, normalise=fusion == 'max'))


def test_fusion_rules_by_hand():
    """Without its layers, a network is its rule."""
    sources = [torch.tensor(values).view(1, 3, 1, 1) for values in ([1., 5., 0.], [4., 0., 0.], [1., 1., 0.])]
    fused = {}
    for rule in FUSION_RULES:
        ifcnn = IFCNN(rule)
        ifcnn.first = ifcnn.extract = ifcnn.reconstruct = ifcnn.output = torch.nn.Identity()
        fused[rule] = ifcnn.fuse_colour(*sources).flatten().tolist()
    assert fused == {'max': [4, 5, 0], 'mean': [2, 2, 0], 'sum': [6, 6, 0]}


def test_more_than_two_sources():
    assert IFCNN().fuse_colour(*torch.rand(3, 1, 3, 16, 20)).shape == (1, 3, 16, 20)
    a, b, c = torch.rand(3, 1, 1, 16, 20)
    ifcnn = IFCNN('mean').eval()
    torch.testing.assert_close(ifcnn.fuse_stack([a, b, a, b]), ifcnn(a, b))
    assert not torch.allclose(ifcnn.fuse_stack([a, b, c]), ifcnn(a, b))


def test_parameter_count_is_the_published_one():
    assert sum(parameter.numel() for parameter in IFCNN().parameters()) == 83_587


def test_states_of_another_network_are_refused(released):
    check_conversion(IFCNN(), released, missing='conv4.bias', unknown='conv5.weight')


def test_no_such_fusion_rule():
    with pytest.raises(ConfigError, match='Did you mean max'):
        BACKBONES.build(dict(type='vlfusion_ifcnn.IFCNN', fusion='maxx'))


def sample_model(first_layer):
    config = load_config(CONFIGS / 'ifcnn_mff_sample.py', {'model.backbone.first_layer': first_layer})
    return MODELS.build(config.model)


def test_a_training_step_moves_everything_but_the_first_layer(released):
    torch.manual_seed(0)
    model = sample_model(str(shared('zoo/ifcnn') / 'IFCNN-MAX.pth'))
    model.init_weights()
    model.train()
    backbone = model.backbone
    before = {name: value.clone() for name, value in backbone.named_parameters()}
    torch.testing.assert_close(before['first.weight'], released['conv1.weight'], rtol=0, atol=0)
    folder = shared('zoo/ifcnn')
    batch = dict(source_a=read(folder / 'ivf_Camp_infrared.png')[..., 100:148, 100:148],
                 source_b=read(folder / 'ivf_Camp_visible.png')[..., 100:148, 100:148], name=['Camp'])
    optimizer = torch.optim.Adam(filter(lambda parameter: parameter.requires_grad, model.parameters()), 1e-3)
    wrapper = OPTIM_WRAPPERS.build(dict(type='OptimWrapper', optimizer=optimizer))
    losses = [model.train_step(batch, wrapper)['loss'].item() for _ in range(4)]
    assert losses[-1] < losses[0]
    moved = {name for name, value in backbone.named_parameters() if not torch.equal(value, before[name])}
    assert moved == before.keys() - {'first.weight'}


def test_the_first_layer_needs_the_right_file(tmp_path):
    torch.save({'conv1.weight': torch.zeros(64, 3, 3, 3)}, tmp_path / 'other.pth')
    with pytest.raises(CheckpointError, match=r'no conv1.weight of shape \(64, 3, 7, 7\)'):
        sample_model(str(tmp_path / 'other.pth')).init_weights()
    with pytest.raises(CheckpointError, match='No checkpoint'):
        sample_model(str(tmp_path / 'absent.pth')).init_weights()


@pytest.mark.slow
def test_a_step_towards_the_truth(released, tmp_path):
    pytest.importorskip('timm', reason="pip install 'vlfusion[vision]'")
    for folder, seed in (('source_1', 0), ('full_clear', 1)):
        draw_pairs(tmp_path / 'data', ['1', '2'], folder, 'source_2', size=(72, 80), seed=seed)
    options = {'data_root': str(tmp_path / 'data'), 'work_dir': str(tmp_path / 'work'), 'train_cfg.max_iters': 1,
               'train_cfg.val_interval': 1, 'default_hooks.checkpoint.interval': 1, 'train_dataloader.batch_size': 2,
               'train_dataloader.dataset.pipeline.1.transforms.0.size': (64, 64),
               'model.backbone.first_layer': str(shared('zoo/ifcnn') / 'IFCNN-MAX.pth'),
               'model.losses.1.model': 'resnet10t', 'model.losses.1.pretrained': False}
    for split in ('train', 'val', 'test'):
        options |= {f'{split}_dataloader.num_workers': 0, f'{split}_dataloader.persistent_workers': False}
    runner = build_runner(load_config(CONFIGS / 'ifcnn_mff_nyud.py', options), 'train')
    sample = next(iter(runner.train_dataloader))
    logged = runner.model(**{**sample, 'mode': 'loss'})
    torch.testing.assert_close(logged['truth'], (runner.model(**sample) - sample['truth']).square().mean())
    assert logged['perceptual'] > 0
    runner.train()
    assert (tmp_path / 'work/iter_1.pth').is_file()


@pytest.mark.parametrize('config', ['ifcnn_tno.py', 'ifcnn_mff_sample.py'])
def test_configs_build(config):
    built = load_config(CONFIGS / config)
    assert isinstance(MODELS.build(built.model).backbone, IFCNN) and built.protocol == 'truncate'


@pytest.mark.slow
def test_the_sample_config_takes_one_step(released, tmp_path):
    for split in ('train', 'test'):
        draw_pairs(tmp_path / f'data/{split}', ['1', '2'], 'near', 'far', size=(72, 80))
    options = {'data_root': str(tmp_path / 'data'), 'work_dir': str(tmp_path / 'work'), 'train_cfg.max_iters': 1,
               'train_cfg.val_interval': 1, 'default_hooks.checkpoint.interval': 1,
               'model.backbone.first_layer': str(shared('zoo/ifcnn') / 'IFCNN-MAX.pth')}
    runner = build_runner(load_config(CONFIGS / 'ifcnn_mff_sample.py', options), 'train')
    runner.train()
    state = load_checkpoint_file(tmp_path / 'work/iter_1.pth')['state_dict']
    torch.testing.assert_close(state['backbone.first.weight'], released['conv1.weight'], rtol=0, atol=0)
