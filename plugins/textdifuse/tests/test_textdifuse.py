import json
import math
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from vlfusion.errors import CheckpointError, ConfigError
from vlfusion.imaging.images import read_image
from vlfusion.inference.network import Network
from vlfusion.language.interfaces import Observation
from vlfusion.models.released import by_patterns
from vlfusion.registry import BACKBONES, MODELS, TRANSFORMS
from vlfusion.testing import check_backbone, check_loss
from vlfusion.testing.toys import draw_pairs

pytest.importorskip('vlfusion_textdifuse', reason='pip install --editable plugins/textdifuse')
from vlfusion_textdifuse import MaxEdgeLoss, TextDiFuse  # noqa: E402
from vlfusion_textdifuse import training as training_module  # noqa: E402
from vlfusion_textdifuse.__main__ import main  # noqa: E402
from vlfusion_textdifuse.control import as_planes, from_planes  # noqa: E402
from vlfusion_textdifuse.diffusion import Diffusion, seeded_noise  # noqa: E402
from vlfusion_textdifuse.losses import modulation_loss  # noqa: E402
from vlfusion_textdifuse.masks import WordMasks  # noqa: E402
from vlfusion_textdifuse.modulation import modulate, shrink  # noqa: E402
from vlfusion_textdifuse.network import RELEASED_NAMES  # noqa: E402

#: The smallest shape that has all the released one has: three levels, attention, a map that needs channels of ones.
TINY = dict(dim=8, widths=(1, 3, 2), blocks=1, attention=(1, 2), groups=4)
#: Results of the released code in float64, at this shape, from the state of `drawn`.
RELEASED = np.load(Path(__file__).parent / 'data/released.npz')


def uniform(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).random(shape))


def normal(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def drawn(steps=25, **options):
    """A network of TINY shape in float64, whose state is drawn under the released names."""
    network = TextDiFuse(steps, **TINY, **options).double().eval()
    state = {}
    for name, tensor in network.state_dict().items():
        released = by_patterns(name, RELEASED_NAMES)
        value = np.random.default_rng(zlib.crc32(released.encode())).standard_normal(tuple(tensor.shape))
        if value.ndim > 1:
            value /= math.sqrt(np.prod(value.shape[1:]))
        else:
            value = value / 10 + released.endswith('weight')
        state[name] = torch.from_numpy(value)
    network.load_state_dict(state)
    return network


def assert_released(ours, name, tolerance=1e-11):
    expected = torch.from_numpy(RELEASED[name])
    assert (ours - expected).abs().max() <= tolerance * expected.abs().max(), name


@pytest.mark.parametrize('size, steps', [((16, 20), 25), ((24, 12), 5)])
def test_the_unet_and_the_sampler_equal_the_released_code(size, steps):
    network, label = drawn(steps), f'{size[0]}x{size[1]}'
    visible, infrared = (2 * uniform(seed, 2, 1, *size) - 1 for seed in (10, 11))
    noise, time = normal(12, 2, 1, *size), torch.tensor([749, 3])
    with torch.no_grad():
        assert_released(network.decoder(network.encoder(torch.cat((noise, visible), 1), time), time), f'unet_{label}')
        for name, sources in (('fused', [infrared, visible]), ('restored', [visible])):
            x = noise
            for step in network.steps():
                x, _ = network.denoise(x, step, network.encode(x, step, sources))
            assert_released(x, f'{name}_{label}')


def build(phase, network, losses=(), **options):
    model = MODELS.build(dict(type='vlfusion_textdifuse.TextDiFuseModel', phase=phase, losses=losses,
                              backbone=dict(type='vlfusion_textdifuse.TextDiFuse', **TINY, **options))).double()
    model.backbone.load_state_dict(network.state_dict())
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return model, torch.optim.AdamW(learning, 2e-5, weight_decay=0)


def train(model, optimizer, sources, monkeypatch, draws):
    """Run the released loop: the terms of the loss before each step."""
    logged = []
    for integers, noise in draws:
        monkeypatch.setattr(training_module.torch, 'randint', lambda *_, integers=integers: torch.tensor(integers))
        monkeypatch.setattr(training_module.torch, 'randn_like', lambda _, noise=noise: noise)
        terms = model(*sources, mode='loss')
        optimizer.zero_grad()
        terms['loss'].backward()
        optimizer.step()
        logged.append([value for name, value in terms.items() if name != 'loss'])
    return torch.tensor(logged)


def total(module):
    return sum(value.sum() for value in module.state_dict().values())


def test_four_steps_of_the_diffusion_model_equal_the_released_script(monkeypatch):
    model, optimizer = build('diffusion', drawn())
    degraded, clean = uniform(21, 3, 1, 16, 20), uniform(20, 3, 1, 16, 20)
    steps = ([0, 500, 999], [1, 0, 3], [40, 700, 0], [10, 20, 30])
    draws = [(step, normal(30 + index, 3, 1, 16, 20)) for index, step in enumerate(steps)]
    assert_released(train(model, optimizer, (degraded, clean), monkeypatch, draws), 'diffusion_terms')
    assert_released(torch.stack([total(model.backbone.encoder), total(model.backbone.decoder)]), 'diffusion_sums')


LOSSES = [dict(type='MaxIntensityLoss', weight=1.0), dict(type='vlfusion_textdifuse.MaxEdgeLoss', weight=1.0)]


def test_four_steps_of_the_fusion_control_module_equal_the_released_script(monkeypatch):
    model, optimizer = build('fusion', drawn(), LOSSES, steps=8)
    infrared, visible = uniform(40, 1, 1, 16, 20), uniform(41, 1, 1, 16, 20)
    logged = train(model, optimizer, (infrared, visible), monkeypatch, [(last, None) for last in (7, 3, 0, 5)])
    assert_released(logged, 'fusion_terms')
    assert_released(total(model.backbone.control), 'fusion_sum')


@pytest.mark.parametrize('size, steps, side, rate', [((16, 20), 8, 12, 2e-5), ((20, 12), 5, 20, 2e-3)])
def test_modulation_equals_the_released_script(monkeypatch, size, steps, side, rate):
    network = drawn(steps)
    infrared, visible = (2 * uniform(seed, 1, 1, *size) - 1 for seed in (50, 51))
    mask = torch.zeros(1, 1, *size, dtype=torch.float64)
    mask[..., 4:11, 3:9] = 1
    losses = []

    def seen(*images):
        losses.append(modulation_loss(*images))
        return losses[-1]
    monkeypatch.setattr('vlfusion_textdifuse.modulation.modulation_loss', seen)
    with torch.inference_mode():
        raised = modulate(network, (infrared, visible), mask, side=side, learning_rate=rate)
        plain = network.sample([infrared, visible])
    # Adam's first steps depend on the sign of a gradient alone, so rounding grows.
    assert_released(raised, f'modulated_{size[0]}x{size[1]}', 1e-9)
    assert_released(torch.stack(losses).detach(), f'modulation_losses_{steps}', 1e-9)
    assert torch.equal(raised[mask == 0], plain[mask == 0]) and not torch.equal(raised, plain)


def test_a_mask_acts_where_it_is_and_only_on_its_image():
    network = drawn(3, side=8).float()
    sources = torch.rand(2, 3, 1, 11, 14, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(3, 1, 11, 14)
    mask[0, :, 2:7, 3:9] = 0.9
    mask[1, :, 5:] = 1
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        plain, raised = network(*sources), network(*sources, mask=mask)
        alone = network(*sources[:, :1], mask=mask[:1])
    assert torch.equal(raised[:1], alone)
    outside = mask < 0.5
    torch.testing.assert_close(raised[outside], plain[outside], rtol=0, atol=1e-5)  # a batch rounds in another way
    assert (raised - plain)[0].abs().max() > 1e-4 and (raised - plain)[1].abs().max() > 1e-4
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.slow
def test_what_every_backbone_must_do():
    torch.manual_seed(0)
    check_backbone(TextDiFuse(1, side=8, dim=16, widths=(1, 2), blocks=1, attention=(1,), groups=4))


def test_what_every_loss_must_do():
    check_loss(MaxEdgeLoss())


def test_the_order_of_the_sources_is_chosen():
    a, b = uniform(0, 2, 1, 1, 12, 16)
    with torch.no_grad():
        assert torch.equal(drawn(2, first='a')(a, b), drawn(2, first='b')(b, a))
        assert (drawn(2, first='a')(a, b) - drawn(2, first='a')(b, a)).abs().max() > 1e-3


def test_the_seed_changes_the_noise_and_images_of_a_batch_share_it():
    like = torch.zeros(3, 1, 8, 8)
    noise = seeded_noise(like, 0)
    assert torch.equal(noise[0], noise[2]) and not torch.equal(noise, seeded_noise(like, 1))
    assert torch.equal(noise[:1], seeded_noise(like[:1], 0))


def test_planes_hold_the_maps_of_every_level():
    maps = [normal(level, 2, *shape) for level, shape in enumerate([(8, 8, 12), (8, 4, 6), (24, 4, 6), (24, 2, 3),
                                                                    (16, 2, 3), (16, 2, 3)])]
    planes = as_planes(maps)
    assert planes.shape == (2, 1 + 2 + 6 + 2 + 8 + 1, 8, 12)
    assert all(torch.equal(*pair) for pair in zip(from_planes(planes, maps), maps, strict=True))


def test_noise_is_removed_as_it_was_added():
    clean, noise, step = uniform(0, 3, 1, 4, 4), normal(1, 3, 1, 4, 4), torch.tensor([0, 12, 24])
    diffusion = Diffusion(25)
    noisy = diffusion.add_noise(clean, step, noise)
    torch.testing.assert_close(diffusion.remove_noise(noisy, step, noise), clean)
    torch.testing.assert_close(diffusion.mean(clean, noisy, torch.tensor([0])), clean)
    assert (noisy[2] - noise[2]).abs().max() < 1e-3  # nothing is left of the image at the noisiest step


def test_small_copies_have_sides_of_whole_multiples():
    assert shrink(torch.zeros(1, 1, 480, 640), 256, 16).shape == (1, 1, 256, 352)
    assert shrink(torch.zeros(1, 1, 20, 30), 64, 16).shape == (1, 1, 64, 96)


def test_progress_counts_the_steps():
    backbone = dict(type='vlfusion_textdifuse.TextDiFuse', steps=3, **TINY)
    model = MODELS.build(dict(type='FusionModel', backbone=backbone))
    seen = []
    images = {name: torch.rand(1, 1, 12, 16) for name in ('source_a', 'source_b')}
    Network(model.eval(), device='cpu').fuse(images, lambda done, whole: seen.append((done, whole)))
    assert seen == [(100, 300), (200, 300), (300, 300)]


def released_state(network, parts):
    """The three files that would hold a network's state."""
    files = {part: {} for part in parts}
    for name, value in network.state_dict().items():
        part, _, released = by_patterns(name, RELEASED_NAMES).partition('.')
        files[part][released] = value
    return [files[part] for part in parts]


def test_released_files_are_converted_in_any_order():
    with torch.device('meta'):
        network = TextDiFuse()
    files = released_state(network, ('control', 'encoder', 'decoder'))
    files[0]['outBlock3.0.weight'] = torch.zeros(544, device='meta')  # read by no output
    converted = TextDiFuse.convert_released(*files)
    assert {name: value.shape for name, value in converted.items()} == {
        name: value.shape for name, value in network.state_dict().items()}
    counts = [sum(value.numel() for value in part.parameters())
              for part in (network.encoder, network.decoder, network.control)]
    assert counts == [37_568_640, 57_755_522, 18_763_945]
    with pytest.raises(CheckpointError, match='given twice'):
        TextDiFuse.convert_released(files[0], files[0], files[1])
    with pytest.raises(CheckpointError, match='lacks'):
        TextDiFuse.convert_released(*files[:2])


@pytest.mark.parametrize('options, words', [
    (dict(steps=0), '1 to 1000 steps'), (dict(first='c'), 'Expected a source'), (dict(groups=5), 'do not divide')])
def test_impossible_arguments(options, words):
    with pytest.raises(ConfigError, match=words):
        BACKBONES.build(dict(type='vlfusion_textdifuse.TextDiFuse', **TINY | options))


def test_a_phase_trains_its_part_alone():
    with pytest.raises(ConfigError, match='Did you mean fusion'):
        build('fussion', drawn())
    for phase, learning in (('diffusion', {'encoder', 'decoder'}), ('fusion', {'control'})):
        model, _ = build(phase, drawn())
        assert {name.split('.')[1] for name, parameter in model.named_parameters()
                if parameter.requires_grad} == learning
    with pytest.raises(ConfigError, match='no loss for the phase'):
        model(torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 8), mode='loss')


def test_transforms_of_training():
    np.random.seed(0)
    limit = TRANSFORMS.build(dict(type='vlfusion_textdifuse.LimitShortSide', least=32, most=48))
    for size, wanted in (((20, 30), (32, 48)), ((40, 60), (40, 60)), ((96, 120), (48, 60))):
        assert limit.transform({'img': np.random.rand(*size, 2)})['img'].shape == (*wanted, 2)
    pair = {'img_a': np.full((16, 16), 0.25, np.float32), 'img_b': np.full((16, 16), 0.75, np.float32)}
    degrade = TRANSFORMS.build(dict(type='vlfusion_textdifuse.DegradedCopy'))
    made = [degrade.transform(pair) for _ in range(20)]
    assert {float(sample['img_b'][0, 0]) for sample in made} == {0.25, 0.75}
    assert all(sample['img_a'].dtype == np.float32 and 0 <= sample['img_a'].min() <= sample['img_a'].max() <= 1
               and not np.array_equal(sample['img_a'], sample['img_b']) for sample in made)


def save(folder, model, processor):
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope='module')
def detector(tmp_path_factory):
    """A tiny OWL-ViT of random weights."""
    pytest.importorskip('torchvision')
    transformers, tokenizers = pytest.importorskip('transformers'), pytest.importorskip('tokenizers')
    folder = tmp_path_factory.mktemp('owlvit')
    trained = tokenizers.ByteLevelBPETokenizer()
    trained.train_from_iterator(['people car bike'], vocab_size=280, show_progress=False,
                                special_tokens=['!', '<|startoftext|>', '<|endoftext|>'])
    trained.save_model(str(folder))
    merges = [tuple(line.split()) for line in (folder / 'merges.txt').read_text().splitlines()[1:]]
    tokenizer = transformers.CLIPTokenizer(vocab=json.loads((folder / 'vocab.json').read_text()), merges=merges,
                                           model_max_length=16)
    tower = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    torch.manual_seed(0)
    model = transformers.OwlViTForObjectDetection(transformers.OwlViTConfig(
        text_config=dict(tower, max_position_embeddings=16, vocab_size=len(tokenizer), bos_token_id=1, eos_token_id=2),
        vision_config=dict(tower, image_size=32, patch_size=8), projection_dim=16))
    return save(folder, model, transformers.OwlViTProcessor(
        transformers.OwlViTImageProcessor(size={'height': 32, 'width': 32}), tokenizer))


@pytest.fixture(scope='module')
def segmenter(tmp_path_factory):
    """A tiny SAM of random weights."""
    transformers = pytest.importorskip('transformers')
    common = dict(hidden_size=16, mlp_dim=16, num_hidden_layers=1, num_attention_heads=2)
    torch.manual_seed(0)
    model = transformers.SamModel(transformers.SamConfig(
        vision_config=dict(common, output_channels=16, image_size=64, patch_size=16, window_size=2,
                           global_attn_indexes=[0], num_pos_feats=8),
        prompt_encoder_config=dict(hidden_size=16, image_size=64, patch_size=16, mask_input_channels=4),
        mask_decoder_config=dict(common, iou_head_hidden_dim=16)))
    return save(tmp_path_factory.mktemp('sam'), model, transformers.SamProcessor(transformers.SamImageProcessor(
        size={'longest_edge': 64}, pad_size={'height': 64, 'width': 64})))


@pytest.mark.slow
def test_words_become_masks_of_the_pairs(detector, segmenter, tmp_path, capsys, monkeypatch):
    draw_pairs(tmp_path, ['1', '2'], size=(40, 60))
    monkeypatch.chdir(tmp_path)
    command = ['masks', 'ir', 'vi', '--words', 'people,car', '--detector', detector, '--device', 'cpu']
    assert main([*command, '-o', 'boxes']) == 0 and main([*command, '-o', 'masks', '--segmenter', segmenter]) == 0
    assert '2 masks in masks' in capsys.readouterr().out
    boxes, masks = ([read_image(tmp_path / folder / f'{name}.png') for name in '12'] for folder in ('boxes', 'masks'))
    for mask in (*boxes, *masks):
        assert mask.shape == (40, 60) and set(np.unique(mask)) <= {0, 255}
    assert any(box.any() for box in boxes) and not np.array_equal(boxes, masks)


def test_boxes_are_filled_and_weak_ones_left_out(detector, monkeypatch):
    find = WordMasks(['car'], detector)
    things = [Observation('car', (0.1, 0.5, 0.5, 1.), 0.2, 0.5), Observation('car', (0.5, 0., 1., 1.), 0.5, 0.04)]
    monkeypatch.setattr(find.detect, 'observe', lambda scenes, _: [things])
    image = np.zeros((10, 20), np.uint8)
    expected = np.zeros((10, 20), bool)
    expected[5:, 2:10] = True
    assert np.array_equal(find(image, image), expected)
    things.clear()
    assert not find(image, image).any()
