"""LDFusion and AutoFuse against numbers in tests/data: the released code ran once, in float64, on what is drawn here.

`released.json`: names and shapes of the released states; three steps of the loops of both trainers, with a small CLIP
and a slim VGG-19, both random, and 4 patches instead of 32: the terms before each step, and sums over the states
afterwards. `released.npz`: every third pixel of the networks' output in evaluation mode, at two sizes. The networks
have an eighth (LDFusion) and a sixteenth (AutoFuse) of their channels.
"""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate, normalize

from vlfusion.testing.released import check_conversion, draw_state

pytest.importorskip('vlfusion_ldfusion', reason='pip install --editable plugins/ldfusion')
pytest.importorskip('open_clip', reason="pip install 'vlfusion[vision]'")

from torchvision.models import vgg
from vlfusion_ldfusion import AutoFuse, CLIPDirectionalLoss, ContrastiveDirectionalLoss, LDFusion, MaxFeatureLoss
from vlfusion_ldfusion.__main__ import main as cut
from vlfusion_ldfusion.distortion import RandomPatches

from vlfusion.cli import main as vlfusion
from vlfusion.config import load_config
from vlfusion.engine.runner import build_runner
from vlfusion.errors import CheckpointError, UnknownNameError
from vlfusion.language.encoders import OpenCLIPTextEncoder
from vlfusion.language.interfaces import Completion
from vlfusion.registry import LLMS, TRANSFORMS
from vlfusion.testing import check_backbone, check_loss
from vlfusion.testing.shared import shared
from vlfusion.testing.toys import QUICK, draw_pairs

CONFIGS = Path(__file__).parents[1] / 'configs'
DATA = Path(__file__).parent / 'data'
NUMBERS = json.loads((DATA / 'released.json').read_text())
NEAR = dict(rel=1e-8, abs=1e-10)
#: Patches of each image, and side of AutoFuse's training images. The released scripts use 32 and 336.
PATCHES, SIDE = 4, 240
#: A CLIP model with the image size of the real one.
CLIP = dict(embed_dim=12, vision_cfg=dict(image_size=224, layers=1, width=16, patch_size=32, head_width=8),
            text_cfg=dict(context_length=77, vocab_size=49408, width=8, heads=1, layers=1))
#: Its name where it lies in the folder of the process.
TINY_CLIP = 'local-dir:.'
#: The first stages of VGG-19 with an eighth of the channels.
SLIM = [width if width == 'M' else width // 8 for width in vgg.cfgs['E']][:18]


def random(shape, seed):
    return torch.from_numpy(np.random.default_rng(seed).random(shape))


def pair(size):
    """Two pairs of a size."""
    return random((2, 2, 1, *size), 11).unbind()


def states(method):
    """A state for each released file of a method, under the released names, with outputs that vary within [0, 1]."""
    drawn = [draw_state({name: tuple(shape) for name, shape in shapes.items()}, seed)
             for seed, shapes in enumerate(NUMBERS['shapes'][method], start=1)]
    if method == 'ldfusion':
        decoder = drawn[1]
        for stage in range(3):
            decoder[f'model_up.{3 * stage + 1}.gamma'] += 1
        decoder['model_up.10.weight'] *= 0.5
        decoder['model_up.10.bias'] += 0.5
    else:
        drawn[1]['model.10.weight'] *= 20  # else the vector is nearly the same for every pair
        drawn[2]['mlp.model.4.weight'] *= 4
    return drawn


def clip_tower(folder):
    """A small model of open_clip."""
    import open_clip
    Path(folder, 'open_clip_config.json').write_text(json.dumps(dict(model_cfg=CLIP, preprocess_cfg={})))
    model = open_clip.create_model(f'local-dir:{folder}', load_weights=False).double()
    state = model.state_dict()
    shapes = {name: tuple(value.shape) for name, value in state.items() if name.startswith('visual.')}
    model.load_state_dict(state | draw_state(shapes, 6))
    return model.eval().requires_grad_(False)


def slim_vgg19():
    layers = vgg.make_layers(SLIM).double()
    layers.load_state_dict(draw_state({name: tuple(value.shape) for name, value in layers.state_dict().items()}, 7))
    return layers


def embeddings(count):
    """Vectors of norm 1."""
    return normalize(random((count, 12), 8) - 0.5, dim=-1).split(1)


def draws():
    """Draw what RandomPatches draws in each of three steps."""
    generator = np.random.default_rng(9)
    return [(generator.random(), generator.random((PATCHES, 8)).tolist()) for _ in range(3)]


def ldfusion_batches():
    """Yield three batches of both sources, and of both with noise. Some patches of the visible image are too plain."""
    for step in range(3):
        a, b, *noise = random((4, 2, 1, 224, 224), 20 + step).unbind()
        b[1, :, 80:], b[0, :, :, 150:] = 0.5, 0.25
        yield a, b, *(source + 0.06 * (one - 0.5) for source, one in zip((a, b), noise, strict=True))


def autofuse_batches():
    """Yield three batches of both sources, noise of half their size, and the two texts of each pair, of any norm."""
    for step in range(3):
        a, b = random((2, 2, 1, SIDE, SIDE), 30 + step).unbind()
        b[1, :, 80:], a[0, :, :, :60] = 0.5, 0.25
        noise = 0.06 * (random((2, 2, 1, SIDE // 2, SIDE // 2), 40 + step) - 0.5)
        yield a, b, *noise, 3 * (random((2, 2, 12), 50 + step) - 0.5)


def ldfusion():
    net = LDFusion(dim=2).double()
    net.load_state_dict(LDFusion.convert_released(*states('ldfusion')))
    return net


def autofuse():
    net = AutoFuse(dim=2).double()
    net.load_state_dict(AutoFuse.convert_released(*states('autofuse')))
    return net


@pytest.mark.parametrize(('name', 'size'), [('even', (32, 40)), ('odd', (29, 35))])
def test_networks_equal_the_released_ones(name, size):
    with torch.no_grad():
        net = autofuse().eval()
        outputs = dict(ldfusion=ldfusion().eval()(*pair(size)), autofuse=net(*pair(size)),
                       autofuse_enlarged=net.enlarged(*pair(size)))
    released = np.load(DATA / 'released.npz')
    for key, output in outputs.items():
        np.testing.assert_allclose(output[:, 0, ::3, ::3], released[f'{key}_{name}'], rtol=0, atol=1e-12, err_msg=key)


@pytest.fixture
def tower(tmp_path):
    return clip_tower(tmp_path)


def put_clip(loss, tower, texts):
    """Give a loss its CLIP: the image tower, the embeddings of its sentences, and statistics of images."""
    statistics = torch.tensor([tower.visual.image_mean, tower.visual.image_std])[..., None, None]
    loss.clip._parts = tower, torch.cat(texts), statistics
    return loss


def slim_features(monkeypatch, **options):
    monkeypatch.setitem(vgg.cfgs, 'E', SLIM)
    loss = MaxFeatureLoss(pretrained=False, **options)
    state = slim_vgg19().state_dict()
    loss.vgg.network.double().load_state_dict({name: state[name] for name in loss.vgg.network.state_dict()})
    return loss


def follow(monkeypatch):
    """Make RandomPatches draw what the released scripts drew."""
    numbers = iter(draws())
    monkeypatch.setattr(RandomPatches, 'draw', lambda self: next(numbers))


def check_state(net, released):
    """Compare sums and sums of squares of each tensor with those of the released one."""
    sums = [(name, value) for part in released['sums'] for name, value in part.items()]
    places = iter(range(len(sums)))
    marked = [{name: torch.tensor(next(places)) for name in part} for part in released['sums']]
    for name, place in net.convert_released(*marked).items():
        value, (released_name, expected) = net.state_dict()[name], sums[place]
        # A bias before a normalisation has no gradient but rounding, which Adam enlarges. A real step moves it by 1e-3.
        near = NEAR | dict(abs=1e-6) if released_name.endswith('bias') else NEAR
        assert [value.sum().item(), value.square().sum().item()] == pytest.approx(expected, **near), released_name


@pytest.mark.slow
def test_training_equals_the_released_trainer(tower, monkeypatch):
    net, released = ldfusion().train(), NUMBERS['ldfusion']
    prompt, text_a, text_b = embeddings(3)
    terms = {name: put_clip(CLIPDirectionalLoss(patches=PATCHES, **weights), tower, (prompt, text_a, text_b))
             for name, weights in dict(
                 prompt=dict(global_weight=1, patch_weight=0, similarity_weight=0),
                 prompt_patches=dict(global_weight=0, patch_weight=1, similarity_weight=0),
                 sim=dict(global_weight=0, patch_weight=0, similarity_weight=1)).items()}
    terms['vgg'] = slim_features(monkeypatch)
    weights = dict(prompt=2, prompt_patches=10, sim=6, vgg=10)
    follow(monkeypatch)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-4)
    for step, (a, b, noisy_a, noisy_b) in enumerate(ldfusion_batches()):
        fused = net(noisy_a, noisy_b)
        values = {name: term(fused, a, b) for name, term in terms.items()}
        for name, value in values.items():
            assert value.item() == pytest.approx(released['steps'][step][name], **NEAR), (step, name)
        optimizer.param_groups[0]['lr'] = 5e-4 * (step + 1) / 3  # the warm-up of an epoch of three steps
        optimizer.zero_grad()
        sum(weights[name] * value for name, value in values.items()).backward()
        optimizer.step()
    check_state(net, released)


@pytest.mark.slow
def test_training_of_autofuse_equals_the_released_trainer(tower, monkeypatch):
    net, released = autofuse().train(), NUMBERS['autofuse']
    prompt, antonym, text_a, text_b = embeddings(4)
    contrast = put_clip(ContrastiveDirectionalLoss(patches=PATCHES, patch_side=(48 / SIDE, 80 / SIDE)),
                        tower, (prompt, antonym, text_a, text_b))
    features = slim_features(monkeypatch, layers=('conv3_1', 'conv4_2'))
    follow(monkeypatch)
    optimizer = torch.optim.Adam(net.parameters(), lr=7.5e-4)
    for step, (a, b, noise_a, noise_b, own) in zip(released['steps'], autofuse_batches(), strict=True):
        halves = [interpolate(source, scale_factor=0.5, mode='bilinear') for source in (a, b)]
        fused = net.enlarged(halves[0] + noise_a, halves[1] + noise_b)
        perceptual = features(fused, a, b)
        assert perceptual.item() / 2 == pytest.approx(step['vgg'], **NEAR)
        total = contrast(fused, a, b, own) + 8.5 * perceptual
        assert total.item() == pytest.approx(step['total'], **NEAR)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    check_state(net, released)


def test_parameter_counts():
    assert sum(parameter.numel() for parameter in LDFusion().parameters()) == 1_742_736 + 4_034_241
    assert sum(parameter.numel() for parameter in AutoFuse().parameters()) == 8_124_960 + 667_446 + 11_488_193


@pytest.mark.slow
@pytest.mark.parametrize('backbone', [LDFusion, AutoFuse])
def test_what_every_backbone_must_do(backbone):
    torch.manual_seed(0)
    check_backbone(backbone(dim=2))


def test_states_of_another_network_are_refused():
    state = {name: value for part in states('ldfusion') for name, value in part.items()}
    converted = check_conversion(LDFusion(dim=2), state, missing='model_up.1.gamma', unknown='model_up.2.gamma')
    assert torch.equal(converted['content_b.0.0.weight'], state['content_encoder1.model.1.weight'])
    encoder, glance, decoder = states('autofuse')
    del glance['model.10.bias']
    with pytest.raises(CheckpointError, match='mod.model.10.bias'):
        AutoFuse.convert_released(encoder, glance, decoder)
    with pytest.raises(CheckpointError, match='2 were given'):
        AutoFuse.convert_released(encoder, decoder)
    prefixed = [{f'module.{name}': value for name, value in part.items()} for part in states('autofuse')]
    assert AutoFuse.convert_released(*prefixed).keys() == AutoFuse(dim=2).state_dict().keys()


@pytest.mark.slow
def test_the_released_vector_network():
    """The one file of AutoFuse's weights that is small, and what the released network makes of two drawn pairs."""
    weights = torch.load(shared('zoo/autofuse/mod.pt'), 'cpu', weights_only=True)
    net = AutoFuse().double()
    net.glance.load_state_dict({name.removeprefix('model.'): value for name, value in weights.items()})
    a, b = pair((40, 32))
    with torch.no_grad():
        vectors = net.glance(torch.cat([interpolate(source, (160, 160)) for source in (b, a)], 1))
    np.testing.assert_allclose(vectors, NUMBERS['vectors'], rtol=1e-10, atol=1e-12)


def test_noise_and_half_size_belong_to_training():
    for net in (LDFusion(dim=2, noise=0.1), AutoFuse(dim=2, noise=0.1)):
        a, b = (source.float() for source in pair((32, 40)))
        with torch.no_grad():
            assert torch.equal(net.eval()(a, b), net(a, b))
            torch.manual_seed(0)
            first, second = net.train()(a, b), net(a, b)
            assert first.shape == a.shape and not torch.equal(first, second)
            net.noise = 0
            assert torch.equal(net(a, b), net(a, b))


def test_the_vector_moves_the_output():
    net = autofuse().eval()
    a, b = pair((32, 40))
    with torch.no_grad():
        usual = net(a, b)
        net.glance[-2].bias += 1
        assert (net(a, b) - usual).abs().max() > 0.01


def test_features_of_the_stronger_source_count(monkeypatch):
    loss = slim_features(monkeypatch, layers=('conv1_1', 'conv2_1'))
    a, b = pair((16, 24))
    assert loss(a, a, torch.zeros_like(a)).item() < loss(b, a, torch.zeros_like(a)).item()
    assert loss(a, a, a).item() == 0 and len(loss.vgg.network) == 7
    check_loss(MaxFeatureLoss(pretrained=False), size=(16, 24))
    with pytest.raises(UnknownNameError, match='conv2_2'):
        MaxFeatureLoss(layers=('conv2_2',), pretrained=False)


@pytest.mark.parametrize('size', [(40, 56), (12, 40)])
def test_a_view_moves_all_images_alike(size):
    np.random.seed(0)
    image = np.random.rand(*size, 1).astype(np.float32).repeat(2, 2)
    view = TRANSFORMS.build(dict(type='vlfusion_ldfusion.RandomView', size=24))(dict(img=image))['img']
    assert view.shape == (24, 24, 2) and view.dtype == np.float32
    assert np.array_equal(view[..., 0], view[..., 1]) and np.isin(view[view > 0], image).all()
    flat = np.full_like(image, 0.5)
    assert TRANSFORMS.build(dict(type='vlfusion_ldfusion.RandomView', size=24))(dict(img=flat))['img'].max() == 0.5


def test_views_are_cut_and_plain_ones_left_out(tmp_path, capsys):
    draw_pairs(tmp_path, ['p'], size=(60, 72))
    for source in ('ir', 'vi'):
        cv2.imwrite(str(tmp_path / source / 'plain.png'), np.full((60, 72), 90, np.uint8))
    assert cut(['cut', str(tmp_path / 'ir'), str(tmp_path / 'vi'), str(tmp_path / 'views'), '--views', '3',
                '--side', '48']) == 0
    assert '3 views of 2 pairs' in capsys.readouterr().out
    files = [sorted(path.name for path in (tmp_path / 'views' / source).iterdir()) for source in ('ir', 'vi')]
    assert files == [['p_0.png', 'p_1.png', 'p_2.png']] * 2
    assert cv2.imread(str(tmp_path / 'views/ir/p_1.png'), cv2.IMREAD_UNCHANGED).shape == (48, 48)


@pytest.fixture
def take_a_step(tmp_path, monkeypatch):
    """A function that trains a config for a step with a slim VGG-19 and a small CLIP, and returns names of terms."""
    monkeypatch.setitem(vgg.cfgs, 'E', SLIM)
    monkeypatch.chdir(tmp_path)  # the config is dumped several times, and long paths in it take seconds to format
    torch.save(clip_tower('.').float().state_dict(), 'open_clip_pytorch_model.bin')

    def step(config):
        options = {**QUICK, 'data_root': '.', 'work_dir': 'work', 'model.backbone.dim': 2,
                   'train_cfg.max_iters': 1, 'train_cfg.val_interval': 1, 'default_hooks.checkpoint.interval': 1,
                   'train_dataloader.batch_size': 2, 'model.losses.0.model': TINY_CLIP,
                   'model.losses.0.pretrained': None, 'model.losses.0.patches': 2,
                   'model.losses.1.pretrained': False}
        runner = build_runner(load_config(config, options), 'train')
        runner.train()
        state = torch.load('work/iter_1.pth', weights_only=True)['state_dict']
        assert state and all(key.startswith('backbone.') for key in state)
        return {key.removeprefix('train/') for key in runner.message_hub.log_scalars}

    return step


@pytest.mark.slow
def test_ldfusion_roadscene_takes_a_step(take_a_step, tmp_path):
    for folder in ('RoadScene_train', 'RoadScene'):
        draw_pairs(tmp_path / folder, ['p0', 'p1'], size=(64, 64))
    assert {'max_feature', 'clip_directional'} <= take_a_step(CONFIGS / 'ldfusion_roadscene.py')


class Faults:
    """An LLM that finds one fault of each pair, and gives the keys of its answer in the wrong order."""

    version = '1'

    def complete(self, prompts):
        answer = json.dumps(dict(unwanted='noise, blur', wanted='clean, sharp'))
        return [Completion(answer, 'faults', None, None, 'stop', 0.0, None) for _ in prompts]


@pytest.mark.slow
def test_words_of_each_view_reach_the_loss_of_autofuse_views(take_a_step, tmp_path, monkeypatch):
    """The pairs are described, both texts encoded, and the loss reads them: the words wanted before the unwanted."""
    monkeypatch.setitem(LLMS.module_dict, 'Faults', Faults)
    for folder in ('views', 'RoadScene'):
        draw_pairs(tmp_path / folder, ['p0', 'p1'], size=(64, 64))
    config = tmp_path / 'views.py'
    config.write_text(f"""
_base_ = [{str(CONFIGS / 'autofuse_views.py')!r}]
data_root = '.'
language = dict(store='store', captioners=[dict(type='MeasuredCaptioner')],
                llm=dict(_delete_=True, type='Faults'),
                encoder=dict(model={TINY_CLIP!r}, pretrained=None))
""")
    assert vlfusion(['describe', str(config)]) == 0
    read = []
    own = ContrastiveDirectionalLoss._own

    def follow(self, text, mask, *both):
        texts = OpenCLIPTextEncoder(TINY_CLIP, pretrained=None, output='pooled').encode(
            ['clean, sharp', 'noise, blur']).features[:, 0]
        read.append([torch.allclose(pair_text, texts, atol=1e-5) for pair_text in text])
        return own(self, text, mask, *both)

    monkeypatch.setattr(ContrastiveDirectionalLoss, '_own', follow)
    assert {'max_feature', 'contrastive_directional'} <= take_a_step(config)
    assert read == [[True, True]]
