"""GIFNet against the released code, whose results are in data/released.json: drawn states and images, no released file.

The numbers were made once by the released network and the steps of its training script, in float64 on torch 2.14, with
the states of `draw` and `draw_densenet` and the images of the tests: `fused_H_W` is every second pixel of a pair's
fused image; `weights`, `information` and `restoration` are loss terms; `gradient_*` the Euclidean norm of all gradients
and the sum of each parameter's; `steps` the four losses of two training iterations on the upper left
32x32 pixels with those `weights`, and `fused_after` a fused image after them.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper
from torch.utils.data import default_collate

from vlfusion.config import load_config
from vlfusion.engine.runner import build_runner
from vlfusion.errors import CheckpointError, ConfigError, DataError
from vlfusion.registry import BACKBONES, DATASETS, MODELS
from vlfusion.testing import check_backbone
from vlfusion.testing.toys import QUICK, draw_pairs
from vlfusion.zoo.entries import get_model

pytest.importorskip('vlfusion_gifnet', reason='pip install --editable plugins/gifnet')
from vlfusion_gifnet import (  # noqa: E402
    BlurFocusPair,
    GIFNet,
    GIFNetModel,
    InformationLoss,
    LoadFocusPair,
    PackFocusPair,
)
from vlfusion_gifnet.losses import restoration_loss  # noqa: E402
from vlfusion_gifnet.model import released_name  # noqa: E402

CONFIGS = Path(__file__).parents[1] / 'configs'
EXPECTED = json.loads((Path(__file__).parent / 'data/released.json').read_text())


def draw(shapes, seed=1):
    """A state of the released network: in the order of its names, scaled so that activations stay near 1."""
    rng, state = np.random.default_rng(seed), {}
    for name in sorted(shapes):
        value = rng.standard_normal(shapes[name])
        if value.ndim > 1 and len(value) > 1:
            value *= np.prod(value.shape[1:]) ** -0.5
        else:
            value = 0.1 * value + name.endswith(('norm1.weight', 'norm1_mfif.weight', 'meta1.bias'))
        state[name] = torch.from_numpy(value)
    return state


def draw_densenet(shapes, seed=4):
    rng, state = np.random.default_rng(seed), {}
    for name in sorted(shapes):
        shape = shapes[name]
        if len(shape) == 4:
            value = rng.standard_normal(shape) * np.prod(shape[1:]) ** -0.5
        elif 'running_var' in name:
            value = rng.uniform(0.5, 1.5, shape)
        else:
            value = 0.1 * rng.standard_normal(shape) + name.endswith('weight')
        state[name] = torch.from_numpy(value)
    return state


def model(**options):
    config = dict(type='vlfusion_gifnet.GIFNetModel', backbone=dict(type='vlfusion_gifnet.GIFNet'),
                  losses=[dict(type='vlfusion_gifnet.InformationLoss', pretrained=False)])
    return MODELS.build(config | options)


@pytest.fixture(scope='module')
def released():
    """A drawn released state, whole but for what no result depends on."""
    return draw({released_name(name.removeprefix('backbone.')): value.shape
                 for name, value in model(losses=[]).state_dict().items()})


@pytest.fixture(scope='module')
def gifnet(released):
    gifnet = GIFNet().double().eval()
    gifnet.load_state_dict(GIFNet.convert_released(released))
    return gifnet


@pytest.fixture(scope='module')
def information():
    """The loss with a drawn DenseNet."""
    loss = InformationLoss(pretrained=False)
    network = loss.densenet.network.double()
    state = network.state_dict()
    network.load_state_dict(draw_densenet({name: value.shape for name, value in state.items()
                                           if not name.endswith('num_batches_tracked')}), strict=False)
    return loss


@pytest.fixture
def batch():
    infrared, visible, near, far = torch.from_numpy(np.random.default_rng(3).random((4, 2, 1, 64, 64)))
    return dict(source_a=infrared * 0.2 + 0.3, source_b=visible, near=near, far=far, name=['1', '2'])


def test_equals_the_released_network_from_a_drawn_state(gifnet):
    rng = np.random.default_rng(2)
    for height, width in ((13, 18), (32, 20)):  # padded and shifted windows in both directions
        a, b = torch.from_numpy(rng.random((2, 1, 1, height, width)))
        with torch.no_grad():
            fused = gifnet(a, b)
        expected = torch.tensor(EXPECTED[f'fused_{height}_{width}'], dtype=torch.float64)
        torch.testing.assert_close(fused[..., ::2, ::2].flatten(), expected, rtol=0, atol=1e-8)


def test_loss_terms_equal_the_released_ones(information, batch):
    infrared, visible, near = (batch[key] for key in ('source_a', 'source_b', 'near'))
    assert information.weights(infrared, visible).tolist() == pytest.approx(EXPECTED['weights'], rel=1e-8)
    assert information(near, infrared, visible).item() == pytest.approx(EXPECTED['information'], rel=1e-8)
    assert restoration_loss(near, visible).item() == pytest.approx(EXPECTED['restoration'], rel=1e-8)
    part = (..., slice(40), slice(33))  # coarser than the window from the third scale on
    assert restoration_loss(near[part], visible[part]).item() == pytest.approx(EXPECTED['restoration_small'], rel=1e-8)


def adam(net):
    return OptimWrapper(torch.optim.Adam(net.parameters(), 1e-3))


class Recorder(OptimWrapper):
    """An optimizer wrapper that notes the gradients of each step."""

    def __init__(self, net):
        super().__init__(torch.optim.Adam(net.parameters(), 1e-3))
        self.net, self.norms = net, []

    def step(self, **kwargs):
        self.norms.append(torch.stack([parameter.grad.norm() for parameter in self.net.parameters()
                                       if parameter.grad is not None]))
        super().step(**kwargs)


@pytest.mark.slow
def test_two_iterations_equal_the_released_training_script(released, batch):
    batch = {key: value if key == 'name' else value[..., :32, :32] for key, value in batch.items()}
    net = model().double().train()
    net.load_released(released)
    net.losses['information'].weights = lambda a, b: torch.tensor(EXPECTED['weights'], dtype=torch.float64)
    recorder = Recorder(net)
    logged = [net.train_step(batch, recorder) for _ in range(2)]
    terms = ('modality_information', 'modality_restoration', 'focus_error', 'focus_restoration')
    np.testing.assert_allclose([[step[term] for term in terms] for step in logged], EXPECTED['steps'], rtol=1e-6)
    torch.testing.assert_close(logged[0]['loss'], sum(logged[0][term] for term in terms))
    for norms, task in zip(recorder.norms, ('modality', 'focus'), strict=False):
        assert [norms.norm().item(), norms.sum().item()] == pytest.approx(EXPECTED[f'gradient_{task}'], rel=1e-7)
    with torch.no_grad():
        fused = net.eval()(batch['source_a'][:1, :, :8, :8], batch['source_b'][:1, :, :8, :8])
    expected = torch.tensor(EXPECTED['fused_after'], dtype=torch.float64)
    torch.testing.assert_close(fused.flatten(), expected, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_training_lowers_the_loss_and_moves_every_parameter(batch):
    torch.manual_seed(0)
    net = model(losses=[dict(type='LpLoss', weight=0.1)]).train()
    batch = {key: value if key == 'name' else value[..., :16, :16].float() for key, value in batch.items()}
    before = {name: value.clone() for name, value in net.named_parameters()}
    wrapper = adam(net)
    logged = [net.train_step(batch, wrapper)['loss'] for _ in range(3)]
    assert logged[-1] < logged[0]
    assert [name for name, value in net.named_parameters() if torch.equal(value, before[name])] == []


@pytest.mark.slow
def test_what_every_backbone_must_do():
    torch.manual_seed(0)
    check_backbone(GIFNet(), size=(13, 18))


def test_odd_sizes_and_the_smallest(gifnet):
    a, b = torch.rand(2, 1, 1, 5, 19, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert gifnet(a, b).shape == (1, 1, 5, 19)
    with pytest.raises(DataError, match='at least 5x5'):
        gifnet(a[..., :4, :], b[..., :4, :])


def test_parameter_count():
    assert sum(parameter.numel() for parameter in GIFNet().parameters()) == 662_378
    # With the two exchange weights that do nothing, those of the released network: 822,780.
    assert sum(parameter.numel() for parameter in model(losses=[]).parameters()) == 822_778


def test_medical_pairs_go_in_the_other_order(gifnet, released):
    swapped = BACKBONES.build(dict(type='vlfusion_gifnet.GIFNet', **get_model('gifnet-mif').arguments)).double().eval()
    swapped.load_state_dict(GIFNet.convert_released(released))
    a, b = torch.rand(2, 1, 1, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(swapped(a, b), gifnet(b, a), rtol=0, atol=0)
    assert (swapped(a, b) - gifnet(a, b)).abs().max() > 1e-3


def test_states_of_another_network_are_refused(released):
    part = 'extractor_multask.SwinTransformerSpecific.layer1.blocks.0.attn.QK_mfif.bias'
    with pytest.raises(CheckpointError, match=r'lacks 1 of its names:\n +extractor.*blocks\.0\.attn\.QK_mfif\.bias'):
        GIFNet.convert_released({name: value for name, value in released.items() if name != part})
    with pytest.raises(CheckpointError, match=r'has 1 unknown names:\n +cnnDecoder\.decoder\.13\.bias'):
        GIFNet.convert_released({**released, 'cnnDecoder.decoder.13.bias': torch.zeros(1)})
    with pytest.raises(CheckpointError, match=r'lacks 8 of its names:\n +decoder_rec'):
        model(losses=[]).double().load_released({name: value for name, value in released.items()
                                                 if not name.startswith('decoder_rec')})
    prefixed = GIFNet.convert_released({f'module.{name}': value for name, value in released.items()})
    assert prefixed.keys() == GIFNet().state_dict().keys()


def test_what_training_needs_is_asked_for(batch, information):
    net = model(losses=[])
    with pytest.raises(ConfigError, match='InformationLoss'):
        net.train_step(batch, adam(net))
    with pytest.raises(ConfigError, match='LoadFocusPair'):
        net.train_step({key: batch[key] for key in ('source_a', 'source_b')}, adam(net))
    with pytest.raises(ConfigError, match='train_step'):
        net(batch['source_a'], batch['source_b'], mode='loss')
    with pytest.raises(ConfigError, match='got a FILM'):
        model(backbone=dict(type='FILM'))
    with pytest.raises(DataError, match='at least 64x64'):
        information(*torch.zeros(3, 1, 1, 63, 80))


def test_blurred_focus_pairs_share_out_the_sharp_image():
    image = np.random.default_rng(0).random((40, 50)).astype(np.float32)
    np.random.seed(0)
    made = BlurFocusPair().transform(dict(img_b=image))
    near, far = made['img_near'] == image, made['img_far'] == image
    assert (near ^ far).all() and near.mean() == pytest.approx(0.5, abs=0.01)
    assert made['img_near'][far].std() < 0.5 * image.std()


def lay_out(root, split, size=(64, 72)):
    draw_pairs(root, ['1', '2'], f'infrared/{split}', f'visible/{split}', size)
    draw_pairs(root, ['1', '2'], f'visible_focus_near/{split}', f'visible_focus_far/{split}', size, seed=1)


def test_focus_pairs_are_read_by_the_name_of_the_visible_image(tmp_path):
    lay_out(tmp_path / 'visible', 'train')  # the last folder of that name counts
    results = dict(path_b=str(tmp_path / 'visible/visible/train/2.png'), img_b=np.zeros((64, 72), np.float32),
                   img_a=np.zeros((64, 72), np.float32), path_a='', name='2')
    sample = PackFocusPair().transform(LoadFocusPair().transform(results))
    assert sample['near'].shape == sample['far'].shape == (1, 64, 72) and sample['near'].std() > 0.1
    assert not torch.equal(sample['near'], sample['far'])
    with pytest.raises(DataError, match='whole images'):
        LoadFocusPair().transform(results | dict(img_b=np.zeros((9, 9), np.float32)))
    with pytest.raises(DataError, match="not in a folder 'rgb'"):
        LoadFocusPair(visible='rgb').transform(results)


@pytest.fixture
def config(tmp_path):
    """A function that reads a config with toy pairs in place of its data."""
    for split, size in (('train', (64, 66)), ('test', (44, 46))):
        lay_out(tmp_path, split, size)
        draw_pairs(tmp_path, ['1', '2'], f'{split}/ir', f'{split}/vi', size)
    options = {**QUICK, 'data_root': str(tmp_path), 'work_dir': str(tmp_path / 'work'), 'train_cfg.max_iters': 1,
               'train_cfg.val_interval': 1, 'train_dataloader.batch_size': 1, 'default_hooks.checkpoint.interval': 1,
               'model.losses.0.pretrained': False}
    return lambda name: load_config(CONFIGS / f'{name}.py', options)


@pytest.mark.slow
def test_the_published_config_takes_one_step(config, tmp_path):
    runner = build_runner(config('gifnet'), 'train')
    assert isinstance(runner.model, GIFNetModel)
    runner.train()
    assert (tmp_path / 'work/iter_1.pth').is_file()


def test_the_sample_config_takes_one_step(config):
    config = config('gifnet_ivf_sample')
    net = MODELS.build(config.model).train()
    dataset = DATASETS.build(config.train_dataloader.dataset | dict(task=config.task, data_root=config.data_root))
    batch = default_collate([dataset[0]])
    assert batch['near'].shape == (1, 1, 64, 64)
    batch = {key: value[..., :16, :16] if isinstance(value, torch.Tensor) else value for key, value in batch.items()}
    net.losses['information'].weights = lambda a, b: torch.tensor([0.5, 0.5])  # DenseNet would want the whole
    assert net.train_step(batch, adam(net))['loss'].isfinite()
