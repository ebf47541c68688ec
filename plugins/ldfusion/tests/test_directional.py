"""The losses in CLIP's space, with a tiny random model of open_clip: the real class with few weights."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from vlfusion.config import load_config
from vlfusion.engine.checkpoints import load_model
from vlfusion.engine.runner import build_runner
from vlfusion.errors import ConfigError, DataError
from vlfusion.registry import LOSSES
from vlfusion.testing import check_loss
from vlfusion.testing.toys import draw_pairs, write_tiny_clip

pytest.importorskip('vlfusion_ldfusion', reason='pip install --editable plugins/ldfusion')
open_clip = pytest.importorskip('open_clip', reason="pip install 'vlfusion[vision]'")
CONFIG = Path(__file__).parents[1] / 'configs/clip_directional_roadscene.py'
CONTRAST = 'vlfusion_ldfusion.ContrastiveDirectionalLoss'
LOSS = 'vlfusion_ldfusion.CLIPDirectionalLoss'


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    """The name of a tiny random model."""
    return write_tiny_clip(tmp_path_factory.mktemp('clip'))


@pytest.fixture
def build(clip):
    return lambda kind=LOSS, **options: LOSSES.build(dict(type=kind, model=clip, pretrained=None, **options))


@pytest.fixture
def images():
    return list(torch.rand(3, 2, 1, 24, 31, generator=torch.Generator().manual_seed(0)).unbind())


def test_the_way_of_the_text_counted_by_hand():
    """From (1, 0) to (0, 1) by text: an image that goes there costs 0, one at 60 degrees to it 1/2, back 2."""
    from vlfusion_ldfusion import direction_loss
    here, there = torch.tensor([[1., 0.]]), torch.tensor([[0., 1.]])
    source = torch.zeros(3, 2)
    way = math.pi * 3 / 4 + torch.tensor([0., math.pi / 3, math.pi])  # the text's way points to 135 degrees
    fused = torch.stack([way.cos(), way.sin()], 1)
    torch.testing.assert_close(direction_loss(fused, source, there, here), torch.tensor([0., 0.5, 2.]))


def test_value_against_numpy(build, clip, images):
    """The two parts about the whole image, from embeddings of a model of the test's own."""
    loss = build(prompt='clear', prompt_a='infrared', prompt_b='visible', patch_weight=0, similarity_weight=6.0)
    model = open_clip.create_model(clip).eval()
    mean, std = (np.array(values)[:, None, None] for values in (model.visual.image_mean, model.visual.image_std))
    small = [image[..., :16, :16] for image in images]  # CLIP's own size: nothing to resize
    with torch.no_grad():
        colour = [torch.from_numpy((image.numpy().repeat(3, 1) - mean) / std).float() for image in small]
        vectors = [model.encode_image(image).double().numpy() for image in colour]
        texts = model.encode_text(open_clip.get_tokenizer(clip)(['clear', 'infrared', 'visible'])).double().numpy()
    fused, a, b = (vector / np.linalg.norm(vector, axis=1, keepdims=True) for vector in vectors)
    clear, *named = (text / np.linalg.norm(text) for text in texts)
    expected = 0.0
    for source, name in zip((a, b), named, strict=True):
        way, text = fused - source, clear - name
        cosine = way @ text / np.linalg.norm(way, axis=1) / np.linalg.norm(text)
        expected += 2 * (1 - cosine).mean() / 2 + 6 * (1 - (fused * source).sum(1)).mean() / 2
    assert loss(*small).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_a_patch_of_the_whole_image_costs_what_the_image_costs(build, images):
    from vlfusion_ldfusion.distortion import Distortion, RandomPatches
    square = [image[..., :24] for image in images]
    cost = build(global_weight=10.0, patch_weight=0, similarity_weight=0)(*square)

    def of_patches(images, **options):
        loss = build(global_weight=0, similarity_weight=0, patch_weight=10.0, **options)
        loss.patches = RandomPatches(3, (1, 1), Distortion(turn=0, shift=(0, 0), zoom=(1, 1), shear=(0, 0)))
        return loss(*images)

    torch.testing.assert_close(of_patches(square), cost)
    flat = [square[0], square[1], torch.full_like(square[2], 0.5)]
    assert of_patches(flat) == 0, 'patches of a flat source are left out'
    assert of_patches(flat, least_entropy=-1) > 0


def test_patches_are_distorted_and_enlarged():
    from vlfusion_ldfusion.distortion import Distortion, RandomPatches
    rows = torch.arange(40.)[:, None].expand(40, 40).reshape(1, 1, 40, 40) / 40
    torch.manual_seed(0)
    [patch] = RandomPatches(1, (0.5, 0.5)).cut(rows, (60, 60))[:, 0]
    assert patch.shape == (60, 60) and patch.std(1).max() > 0.01, 'a turned patch varies along its rows'
    middle = [0.5] * 6
    none = Distortion(turn=9, shift=(0.3, 0.3), zoom=(1, 1), shear=(9, 9))(rows, middle)
    assert torch.equal(none, rows)
    down = Distortion(turn=0, shift=(0, 0.1), zoom=(1, 1), shear=(0, 0))(rows, [0.5, 0.5, 0.999, 0.5, 0.5, 0.5])
    assert torch.equal(down[..., 4:, :], rows[..., :-4, :]) and not down[..., :4, :].any()


def test_the_patch_of_each_image_meets_its_own_source(build, images):
    """A batch costs the mean of what its images cost singly, for the same windows."""
    loss = build(global_weight=0, similarity_weight=0, patches=5)
    loss.clip.network(images[0].device)  # making a network draws random numbers

    def cost(some):
        torch.manual_seed(3)
        return loss(*some)

    singles = [cost([image[i:i + 1] for image in images]) for i in range(2)]
    torch.testing.assert_close(cost(images), sum(singles) / 2)


def test_gradients_reach_the_fused_image_and_nothing_else(build, images):
    fused = images[0].requires_grad_()
    loss = build(patches=4)
    before = [value.clone() for value in loss.clip.network(fused.device).state_dict().values()]
    optimizer = torch.optim.Adam([fused], lr=0.02)
    torch.manual_seed(0)
    first = loss(*images)
    first.backward()
    assert fused.grad.isfinite().all() and (fused.grad != 0).float().mean() > 0.99
    for _ in range(15):
        optimizer.step()
        optimizer.zero_grad()
        torch.manual_seed(0)
        last = loss(*images)
        last.backward()
    assert last < 0.8 * first
    assert not list(loss.parameters()) and not loss.state_dict()
    after = loss.clip.network(fused.device)
    assert all(map(torch.equal, before, after.state_dict().values())) and not after.training
    assert all(not one.requires_grad and one.grad is None for one in after.parameters())


def test_a_fused_image_that_is_a_source_has_a_finite_gradient(build, images):
    fused = images[1].clone().requires_grad_()
    build(patches=2)(fused, *images[1:]).backward()
    assert fused.grad.isfinite().all() and fused.grad.abs().max() < 1e4


def test_each_pair_may_have_its_own_words(build, images):
    """Two texts that equal those for all pairs count as if there were none; others change loss and gradient."""
    loss = build(CONTRAST, patches=3, patch_side=(0.5, 0.8), least_entropy=0)
    fused = images[0].requires_grad_()
    prompt, antonym = loss.clip.texts(fused.device)[:2]
    same = torch.stack((prompt, antonym)).expand(2, 2, 12) * 3  # of any norm

    def cost(text):
        torch.manual_seed(0)
        value = loss(fused, *images[1:], **({} if text is None else dict(text=text)))
        return value, torch.autograd.grad(value, fused)[0]

    torch.testing.assert_close(cost(same), cost(None))
    (other, gradient), (usual, usual_gradient) = cost(same.flip(1)), cost(None)
    assert (other - usual).abs() > 1e-3 * usual and (gradient - usual_gradient).abs().max() > 0
    mixed = torch.stack((same[0], same[0].flip(0)))  # the first pair has the usual words, the second has them swapped
    torch.testing.assert_close(cost(mixed)[0] + cost(mixed.flip(0))[0], other + usual)
    for wrong in (same[:, :1], same[..., :8]):
        with pytest.raises(DataError, match='two embeddings of width 12'):
            cost(wrong)


def test_a_plain_source_does_not_count(build, images):
    """With a plain source B, a patch costs what source A alone does: less than with both."""
    options = dict(patches=2, patch_side=(1, 1), least_entropy=1.0, global_weight=0)
    fused, a, _ = images
    costs = []
    for options['least_entropy'] in (1.0, -1.0):
        torch.manual_seed(0)
        costs.append(build(CONTRAST, **options)(fused, a, torch.full_like(a, 0.5)))
    assert 0 < costs[0] < costs[1]


@pytest.mark.slow
def test_what_training_relies_on(build, monkeypatch):
    from vlfusion_ldfusion.distortion import RandomPatches
    monkeypatch.setattr(RandomPatches, 'draw', lambda self: (0.5, [[0.1, 0.7] + [0.6] * 6] * self.count))
    check_loss(build(patches=2), size=(24, 31))
    # With small weights, because devices round differently and gradients are compared with a fixed tolerance too.
    check_loss(build(CONTRAST, patches=2, patch_side=(0.5, 0.8), global_weight=0.2, patch_weight=2.0), size=(24, 31))


def test_what_cannot_be_is_said(build, images):
    with pytest.raises(ConfigError, match='patches=0'):
        build(patches=0)
    with pytest.raises(ConfigError, match='range of fractions'):
        build(patch_side=(0.8, 0.5))
    with pytest.raises(DataError, match='reads at most 77'):
        build(prompt='word ' * 80)(*images)
    with pytest.raises(ConfigError, match='cannot load'):
        LOSSES.build(dict(type=LOSS, model='local-dir:absent', pretrained=None))(*images)


@pytest.mark.slow
def test_training_writes_a_checkpoint_without_clip(clip, tmp_path):
    """The config takes steps on toy pairs; what it writes loads and fuses where there is no open_clip model."""
    pytest.importorskip('vlfusion_hello', reason='pip install --editable plugins/hello_fusion')
    for folder in ('RoadScene_train', 'RoadScene'):
        draw_pairs(tmp_path / folder, ['p0', 'p1'])
    options = {'data_root': str(tmp_path), 'work_dir': str(tmp_path / 'work'), 'train_cfg.max_iters': 2,
               'train_cfg.val_interval': 2, 'default_hooks.checkpoint.interval': 2, 'train_dataloader.batch_size': 2,
               'train_dataloader.dataset.pipeline.1.transforms.0.size': 40, 'model.losses.0.patches': 2,
               'model.losses.0.model': clip, 'model.losses.0.pretrained': None}
    options |= {f'{split}_dataloader.{key}': value for split in ('train', 'val', 'test')
                for key, value in (('num_workers', 0), ('persistent_workers', False))}
    runner = build_runner(load_config(CONFIG, options), 'train')
    runner.train()
    assert any('directional' in name for name in runner.message_hub.log_scalars)
    checkpoint = tmp_path / 'work/iter_2.pth'
    state = torch.load(checkpoint, weights_only=True)['state_dict']
    assert state and all(name.startswith('backbone.') for name in state)
    loaded = torch.load(checkpoint, weights_only=True)
    loaded['meta']['vlfusion']['model']['losses'][0]['model'] = 'local-dir:absent'
    torch.save(loaded, checkpoint)
    model, _ = load_model(checkpoint)
    assert model(torch.rand(1, 1, 20, 20), torch.rand(1, 1, 20, 20)).shape == (1, 1, 20, 20)


@pytest.mark.parametrize('kind', [LOSS, CONTRAST])
def test_the_default_weights_exist(kind):
    loss = LOSSES.build(dict(type=kind))
    assert loss.clip.pretrained in open_clip.list_pretrained_tags_by_model(loss.clip.model)
