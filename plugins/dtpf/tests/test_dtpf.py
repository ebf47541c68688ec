"""DTPF against numbers in tests/data: the released code ran once, in float64, on states, images and texts drawn here.

`released.npz`: fused images of a teacher and a student in colour, at some pixels; those of the student in windows too.
`released.json`: three steps of AdamW of the released training of each, for luminance: without the colour term, which is
zero there. Losses before each step, sums of the state afterwards, and the learning rates of 1,600 steps.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from vlfusion.testing.released import check_conversion, draw_state
from vlfusion.testing.toys import QUICK, draw_pairs

pytest.importorskip('vlfusion_dtpf', reason='pip install --editable plugins/dtpf')

from vlfusion_dtpf import (
    DTPF,
    ConsistencyLoss,
    DTPFStudentModel,
    DTPFTeacherModel,
    EventTextEncoder,
    blocks,
    parse_events,
    training,
)
from vlfusion_dtpf.losses import feature_distance

from vlfusion.config import load_config
from vlfusion.console.notes import new_run
from vlfusion.engine.released import convert_released, pick
from vlfusion.engine.runner import build_runner
from vlfusion.engine.states import write_state
from vlfusion.errors import CheckpointError, ConfigError, DataError
from vlfusion.inference.fuser import Fuser
from vlfusion.language.keys import Keys
from vlfusion.language.prompt import load_prompt
from vlfusion.language.store import TextStore
from vlfusion.registry import REGISTRIES, TEXT_ENCODERS
from vlfusion.testing import check_backbone, check_loss
from vlfusion.zoo.entries import get_model

CONFIGS = sorted((Path(__file__).parents[1] / 'configs').glob('*.py'))
DATA = Path(__file__).parent / 'data'
IMAGES = np.load(DATA / 'released.npz')
NUMBERS = json.loads((DATA / 'released.json').read_text())
TINY = dict(dim=4, blocks=(1, 1, 1, 1), refinement=1, expansion=2)
LOSSES = [dict(type='MaxIntensityLoss', weight=24.0), dict(type='vlfusion_dtpf.ConsistencyLoss', weight=40.0),
          dict(type='AxisGradientLoss', weight=48.0), dict(type='SSIMLoss', weight=2.0, window=48)]
#: Text about each pair of the released training, without empty lines: with them the released parser loses events.
TEXTS = ['Event Type: Low Light\nDescription: Dark.\nEvent Type: High Noise\nDescription: Grain.',
         'Event Type: Overexposure\nDescription: Bright.', 'Event Type: Motion Blur\nDescription: Smeared.']


def network(text_dim=None, seed=3, scale=1., **options):
    """A network in float64 with the state that the released one had."""
    options = TINY | options
    net = DTPF(text_dim, **options).double().eval()
    state = draw_state(released_shapes(options['dim'], text_dim=text_dim, channels=net.channels), seed)
    state['output.weight'] *= scale
    net.load_state_dict(DTPF.convert_released(state))
    return net


# ---------------------------------------------------------------------------------------------------------- the network

@pytest.mark.slow
@pytest.mark.parametrize('kind', ['teacher', 'student'])
def test_equals_the_released_network(kind):
    """With two texts for each of two sizes."""
    net, generator = network(512 if kind == 'teacher' else None, channels=3), np.random.default_rng(0)
    for width in (64, 128):
        visible, infrared = (torch.from_numpy(generator.random((2, channels, 64, width))) for channels in (3, 1))
        outputs = []
        for number in range(2 if kind == 'teacher' else 1):
            text = torch.from_numpy(generator.normal(size=(2, 1, 512)) * 0.5)
            expected = IMAGES[f'teacher_{width}_{number}' if kind == 'teacher' else f'student_{width}']
            assert expected.max() - expected.min() > 5
            with torch.no_grad():
                outputs.append(net.fuse_colour(infrared, visible, net.vector(text, None))[..., ::13, ::17].numpy())
            np.testing.assert_allclose(outputs[-1], expected, rtol=0, atol=1e-11)
        assert kind == 'student' or np.abs(outputs[0] - outputs[1]).max() > 0.1


@pytest.mark.slow
def test_windows_are_those_of_the_released_test_without_its_dark_border():
    """The released code adds 1e-6 to the weights, which are as small at the border; the numbers are without that."""
    net, generator = network(channels=3, windows=True), np.random.default_rng(0)
    for size in ((64, 64), (64, 128)):  # the draws before
        generator.random((2, 3, *size)), generator.random((2, 1, *size)), generator.normal(size=(2, 512))
    visible, infrared = (torch.from_numpy(generator.random((1, channels, 128, 192))) for channels in (3, 1))
    with torch.no_grad():
        fused = net.fuse_colour(infrared, visible)[..., ::23, ::29].numpy()
    np.testing.assert_allclose(fused, IMAGES['windows'], rtol=1e-6)


@pytest.mark.slow
def test_windows_cover_an_image_of_any_size():
    net = network(windows=True).float()
    for size in ((130, 200), (20, 30)):
        with torch.no_grad():
            fused = net(*torch.rand(2, 1, 1, *size))
        assert fused.shape == (1, 1, *size) and fused.isfinite().all()
    images = torch.rand(2, 1, 1, 128, 128)  # one window
    with torch.no_grad():
        torch.testing.assert_close(net(*images), network().float()(*images))


@pytest.mark.slow
def test_parameter_counts_and_names_of_the_released_networks():
    teacher, student = dict(channels=3), dict(dim=16, refinement=2, expansion=2, channels=3)
    for options, text_dim, parameters in ((teacher, 512, 40_289_814), (student, None, 4_371_772)):
        shapes = released_shapes(options.get('dim', 48), text_dim=text_dim, channels=3, blocks=2,
                                 refinement=options.get('refinement', 4), expansion=options.get('expansion', 2.66))
        with torch.device('meta'):
            net = DTPF(text_dim, **options)
            state = {name: torch.empty(shape) for name, shape in shapes.items()}
        assert sum(parameter.numel() for parameter in net.parameters()) == parameters
        converted = DTPF.convert_released(state | {'model_clip.logit_scale': torch.empty(())})
        assert {name: value.shape for name, value in converted.items()} == {
            name: value.shape for name, value in net.state_dict().items()}


def test_states_of_another_network_are_refused():
    state = draw_state(released_shapes(text_dim=8))
    check_conversion(DTPF(8, **TINY), state, missing='cross_attention.fusion_B.weight',
                     unknown='cross_attention.fusion_C.weight')


@pytest.mark.slow
def test_the_released_student_is_converted_by_its_arguments(tmp_path):
    """Its arguments are read from `models.toml`; other weights of its shapes are refused by their content."""
    entry = get_model('dtpf-ivf')
    with torch.device('meta'):
        net = DTPF(**entry.arguments)
    assert sum(parameter.numel() for parameter in net.parameters()) == entry.method.parameters == 4_371_772
    path = tmp_path / 'distill_epoch999_quality0.9368.pth'
    torch.save({name: value.float() for name, value in draw_state(
        released_shapes(16, channels=3, blocks=2, refinement=2)).items()}, path)
    assert convert_released('vlfusion_dtpf.DTPF', path, tmp_path / 'out.safetensors', 'ivf', 'plain',
                            entry.arguments) == len(net.state_dict())
    with pytest.raises(CheckpointError):
        pick(entry, dict.fromkeys(entry.source.files, [path]))


@pytest.mark.slow
@pytest.mark.parametrize('options', [dict(text_dim=8), dict(channels=3)], ids=['teacher', 'student'])
def test_what_every_backbone_must_do(options):
    torch.manual_seed(0)
    check_backbone(DTPF(**TINY | dict(dim=8), **options), awkward=[(17, 23), (2, 2)])


def test_window_attention_does_not_depend_on_its_chunks(monkeypatch):
    torch.manual_seed(0)
    attention, x = blocks.WindowAttention(8, heads=2), torch.randn(2, 8, 24, 16)
    with torch.no_grad():
        whole = attention(x)
        monkeypatch.setattr(blocks, 'WINDOWS', 4)
        torch.testing.assert_close(attention(x), whole)
        x[..., :14, :] = 0
        changed = (attention(x) - whole).abs().amax((0, 1))
    assert changed[:16].min() > 0 and changed[16:].max() == 0, 'windows of rows 16 to 23 see rows 14 to 23'


@pytest.mark.slow
def test_training_may_leave_the_range_and_the_order_matters():
    net, images = network().float(), torch.rand(2, 1, 1, 64, 64)
    with torch.no_grad():
        assert net(*images).min() >= 0 and net.train()(*images).min() < 0
        assert (net(*images) - net(*images.flip(0))).abs().max() > 0.1


def test_the_student_reads_no_text_and_the_teacher_needs_one():
    images = torch.rand(2, 1, 1, 8, 8)
    teacher = network(8).float()
    with pytest.raises(ConfigError, match='guided by a text'):
        teacher(*images)
    with pytest.raises(DataError, match='no real token'):
        teacher(*images, text=torch.rand(1, 2, 8), text_mask=torch.zeros(1, 2, dtype=torch.bool))
    with pytest.raises(ConfigError, match='multiple of four'):
        DTPF(dim=6)
    with pytest.raises(ConfigError, match='channels=2'):
        DTPF(channels=2)


# ----------------------------------------------------------------------------------------------------------- the events

@pytest.mark.parametrize('text', TEXTS)
def test_events_are_read_whatever_the_line_breaks(text):
    assert parse_events(text) == NUMBERS['tasks'][TEXTS.index(text)], 'as the released parser reads them'
    for other in (text.replace('\nEvent', '\n\nEvent'), ' '.join(text.split()), text.replace('Event', '**Event')):
        assert parse_events(other) == parse_events(text)


@pytest.mark.parametrize('name', ['events', 'medical_events'])
def test_the_prompts_ask_for_the_events_that_have_weights(name):
    prompt = load_prompt(name)
    teacher = load_config(CONFIGS[0].with_name(f'dtpf_teacher_{"ivf" if name == "events" else "mif"}.py'))
    assert prompt.of_pair and teacher.language.prompt == name
    body = ' '.join(prompt.body.split())
    for event in teacher.model.event_weights:
        assert event.replace('_', ' ') in body.lower(), event
    assert parse_events(prompt.body) == ['name']


@pytest.mark.slow
def test_the_text_encoder_reads_the_names_alone():
    inner = dict(type='SentenceTransformersEncoder', model='all-MiniLM-L6-v2', output='pooled')
    config = dict(type='vlfusion_dtpf.EventTextEncoder', encoder=inner)
    encoder = TEXT_ENCODERS.build(config)
    rows = encoder.encode([TEXTS[0], TEXTS[0].replace('Grain', 'Speckles'), TEXTS[1], 'Fuse them.']).features
    assert encoder.dim == rows.shape[-1] == 384
    torch.testing.assert_close(rows[0], rows[1])
    expected = encoder.encoder.encode(['Low light. High noise.', 'Overexposure.', 'Fuse them.']).features
    torch.testing.assert_close(rows[[0, 2, 3]], expected)
    assert EventTextEncoder.self_contained(config)
    assert not EventTextEncoder.self_contained(dict(encoder=inner | dict(model='somebody/else')))


# --------------------------------------------------------------------------------------------------------- the training

@pytest.mark.slow
def test_losses():
    check_loss(ConsistencyLoss())
    fused, a, b = (torch.full((1, 1, 2, 2), value) for value in (0.5, 0.2, 0.9))
    assert ConsistencyLoss()(fused, a, b).item() == pytest.approx((0.3 + 0.4) / 2)
    narrow, wide = torch.tensor([3., 4.]).view(1, 2, 1, 1), torch.tensor([1., 0.]).view(1, 2, 1, 1)
    expected = (0.4**2 + 0.8**2) / 2 / 2  # of (0.6, 0.8) and (1, 0)
    assert feature_distance([narrow] * 2, [wide] * 2, [torch.nn.Identity()] * 2).item() == pytest.approx(2 * expected)


def batch():
    generator = np.random.default_rng(1)
    visible, infrared = (torch.from_numpy(generator.random((3, 1, 64, 64))) for _ in range(2))
    return dict(source_a=infrared, source_b=visible, words=TEXTS,
                text=torch.from_numpy(generator.normal(size=(3, 512)) * 0.5)[:, None])


#: Released names whose sums are compared, and ours.
COMPARED = {'encoder_A.patch_embed.proj.weight': 'encoder_b.embed.weight', 'output.weight': 'output.weight',
            'encoder_B.encoder_level3.0.spatial_attn.rel_pos_emb.rel_width':
                'encoder_a.scales.2.0.window_attention.relative_columns',
            'prompt_guidance_2.fc.2.weight': 'modulate.1.mlp.2.weight',
            'feature_fusion_1.conv.bias': 'merge.0.conv.bias',
            'decoder_level4.0.channel_attn.temperature': 'decoder.3.0.channel.attention.temperature'}


def check_steps(model, kind, eta_min):
    """Take three steps like the released ones, compare totals and states, and return the terms before each step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=500, eta_min=eta_min)
    steps = []
    for expected in NUMBERS[kind]['steps']:
        terms = model(**batch(), mode='loss')
        # The released total of the student also holds the loss of the teacher's pictures, which is constant.
        assert terms['loss'].item() == pytest.approx(expected['loss'] - expected.get('base_loss_parent', 0), rel=1e-7)
        steps.append({name: value.item() for name, value in terms.items()})
        optimizer.zero_grad()
        terms['loss'].backward()
        optimizer.step()
        schedule.step()
    state = model.backbone.state_dict()
    for released, sums in NUMBERS[kind]['sums'].items():
        value = state[COMPARED[released]]
        assert [value.sum().item(), value.abs().sum().item()] == pytest.approx(sums, rel=1e-7), released
    return steps


def write_checkpoint(path, network, **arguments):
    state = {f'backbone.{name}': value for name, value in network.state_dict().items()}
    model = dict(type='FusionModel', backbone=dict(type='vlfusion_dtpf.DTPF', **arguments))
    write_state(path, state, dict(vlfusion=dict(task='ivf', model=model)))


def teacher_model():
    weights = load_config(CONFIGS[0].with_name('dtpf_teacher_ivf.py')).model.event_weights
    model = DTPFTeacherModel(weights, backbone=dict(type='vlfusion_dtpf.DTPF', text_dim=512, **TINY | dict(dim=8)),
                             losses=LOSSES).double().train()
    model.backbone.load_state_dict(network(512, seed=4, scale=0.02, dim=8).state_dict())
    return model


@pytest.mark.slow
def test_the_teacher_takes_the_released_steps():
    """An event whose name is unknown has the weights of the default, a pair with two events the mean of theirs."""
    for terms, expected in zip(check_steps(teacher_model(), 'teacher', 1e-6), NUMBERS['teacher']['steps'], strict=True):
        assert 2 * terms['ssim'] == pytest.approx(expected['ssim_loss'], rel=1e-7)


@pytest.mark.slow
def test_the_student_takes_the_released_steps(tmp_path):
    path = tmp_path / 'teacher.pth'
    write_checkpoint(path, DTPF(512, **TINY | dict(dim=8)), text_dim=512, **TINY | dict(dim=8))
    model = DTPFStudentModel(str(path), backbone=dict(type='vlfusion_dtpf.DTPF', **TINY), losses=LOSSES).double()
    model.train().backbone.load_state_dict(network(seed=5, scale=0.02).state_dict())
    taught, adapters = model.frozen(torch.device('cpu'))
    taught.double().load_state_dict(teacher_model().backbone.state_dict())
    # The authors number scales from the coarsest.
    shapes = {name: tuple(value.shape) for name, value in adapters.state_dict().items()}
    drawn = draw_state({f'{3 - int(name[0])}{name[1:]}': shape for name, shape in shapes.items()}, seed=6)
    adapters.double().load_state_dict({f'{3 - int(name[0])}{name[1:]}': value for name, value in drawn.items()})
    for terms, expected in zip(check_steps(model, 'student', 1e-7), NUMBERS['student']['steps'], strict=True):
        for name, weight, released in (('ssim', 2, 'ssim_loss_distill'), ('max_intensity', 24, 'max_loss_distill'),
                                       ('axis_gradient', 48, 'grad_loss_distill'), ('result', 1, 'result_loss'),
                                       ('feature', 0.1, 'feature_loss')):
            assert weight * terms[name] == pytest.approx(expected[released], rel=1e-7), name


def test_the_rate_of_the_configs_is_the_released_one():
    """The released code steps its schedule of 500 epochs at each batch, so the rate returns every 1,000 steps."""
    [schedule] = load_config(CONFIGS[0].with_name('dtpf_teacher_ivf.py')).param_scheduler
    adam = torch.optim.AdamW([torch.nn.Parameter(torch.ones(1))], 1e-4)
    built, rates = REGISTRIES['parameter scheduler'].build(dict(schedule, optimizer=adam)), []
    for _ in range(1600):
        rates.append(adam.param_groups[0]['lr'])
        adam.step()
        built.step()
    assert {step: rates[int(step)] for step in NUMBERS['rates']} == pytest.approx(NUMBERS['rates'], rel=1e-9)


@pytest.mark.slow
def test_the_losses_of_a_pair_have_the_weights_of_its_events():
    model = DTPFTeacherModel(dict(low_light=dict(consistency=7.0), high_noise=dict(consistency=1.0)),
                             backbone=dict(type='vlfusion_dtpf.DTPF', text_dim=8, **TINY), losses=LOSSES[1:2])
    images, text = torch.rand(2, 2, 1, 64, 64), torch.rand(2, 1, 8)
    with torch.no_grad():
        fused = model(*images, text=text)
        singles = [ConsistencyLoss()(fused[row:row + 1], *images[:, row:row + 1]).item() for row in range(2)]
        for words, weights in (((TEXTS[0], 'A street.'), (4, 40)), (('Event Type: low light', ''), (7, 40)),
                               (('Event Type: Rain\nEvent Type: High Noise', 'Event Type: High noise'), (20.5, 1))):
            found = model(*images, text=text, words=words, mode='loss')
            expected = sum(weight * single for weight, single in zip(weights, singles, strict=True))
            assert found['loss'].item() == pytest.approx(expected, rel=1e-5)
            assert found['consistency'].item() == pytest.approx(sum(singles) / 2, rel=1e-5)
    with pytest.raises(DataError, match='words=True'):
        model(*images, text=text, mode='loss')
    with pytest.raises(ConfigError, match="names the term 'colour'"):
        DTPFTeacherModel(dict(low_light=dict(colour=3.0)), losses=LOSSES,
                         backbone=dict(type='vlfusion_dtpf.DTPF', text_dim=8, **TINY))


@pytest.mark.slow
def test_training_warns_if_no_text_names_a_known_event(monkeypatch, caplog):
    monkeypatch.setattr(training, 'UNKNOWN', 3)
    new_run()
    model = DTPFTeacherModel(dict(low_light=dict(consistency=7.0)), losses=LOSSES[1:2],
                             backbone=dict(type='vlfusion_dtpf.DTPF', text_dim=8, **TINY))
    images, text = torch.rand(2, 2, 1, 8, 8), torch.rand(2, 1, 8)
    with torch.no_grad(), caplog.at_level('WARNING', 'vlfusion'):
        for words in (['A street.', ''], [TEXTS[0], ''], ['', '']):
            model(*images, text=text, words=words, mode='loss')
        assert not caplog.messages
        model(*images, text=text, words=['A street.', 'Event Type: Rain'], mode='loss')
    assert 'The words of 4 pairs in a row name no event of event_weights (low_light)' in caplog.text


def fill(config, dim=8):
    """Random features of the text of every pair, as if `vlfusion describe` had encoded it."""
    rows = np.random.default_rng(0).normal(size=(1, dim)).astype(np.float32)
    TextStore(config.language.store).write('features', Keys(config.language).fixed(TEXTS[0]), dict(text=TEXTS[0]), rows)


@pytest.fixture
def train(tmp_path):
    """A function that trains a config for one step on toy pairs under one text, and returns the checkpoint."""
    def run(path, **options):
        work = tmp_path / path.stem
        config = load_config(path, {
            **QUICK, 'data_root': str(tmp_path / 'data'), 'work_dir': str(work), 'train_cfg.max_iters': 1,
            'train_cfg.val_interval': 1, 'default_hooks.checkpoint.interval': 1,
            'language.store': str(tmp_path / 'store'), 'train_dataloader.batch_size': 2,
            **{f'model.backbone.{key}': value for key, value in TINY.items()},
            'train_dataloader.dataset.pipeline.1.transforms.0.size': (64, 64), **options})
        for place in (config, config.train_dataloader.dataset):
            if place.get('text_source'):
                place.text_source = dict(fixed=TEXTS[0])
        fill(config)
        for split in ('train', 'val'):
            part = config[f'{split}_dataloader'].dataset
            draw_pairs(tmp_path / 'data', ['p0', 'p1'], part.source_a, part.source_b, size=(64, 64))
        build_runner(config, 'train').train()
        return work / 'iter_1.pth'
    return run


@pytest.mark.slow
@pytest.mark.parametrize('path', [path for path in CONFIGS if 'teacher' in path.stem], ids=lambda path: path.stem)
def test_each_config_takes_a_step_and_the_student_fuses_without_text_and_teacher(train, tmp_path, path):
    taught = train(path, **{'model.backbone.text_dim': 8})
    student = train(path.with_name(path.name.replace('teacher_', '')), **{'model.teacher': str(taught)})
    taught.unlink()
    state = torch.load(student, weights_only=True)['state_dict']
    assert state and all(name.startswith('backbone.') for name in state)
    assert not any('modulate' in name for name in state)
    fuser = Fuser(student, device='cpu')
    assert type(fuser.model) is DTPFStudentModel and not fuser.text_dims
    folders = ('MRI', 'PET') if 'mif' in path.stem else ('ir', 'vi')
    pair = [next((tmp_path / 'data').rglob(f'{folder}/p0.png')) for folder in folders]
    assert fuser(*pair).rgb.shape == (64, 64, 3)


@pytest.mark.slow
def test_a_student_needs_a_teacher_that_is_one(train, tmp_path):
    with pytest.raises(ConfigError, match='no teacher'):
        DTPFStudentModel(backbone=dict(type='vlfusion_dtpf.DTPF', **TINY), losses=LOSSES).init_weights()
    path = tmp_path / 'other.pth'
    write_checkpoint(path, DTPF(**TINY), **TINY)
    model = DTPFStudentModel(str(path), backbone=dict(type='vlfusion_dtpf.DTPF', **TINY), losses=LOSSES)
    model.init_weights()  # a student may teach
    assert [type(part) for part in model.frozen(torch.device('cpu'))] == [DTPF, torch.nn.ModuleList]
    assert all(name.startswith('backbone.') for name in model.state_dict())


# ------------------------------------------------------------------------------------------------- the released names

def released_shapes(dim=4, *, text_dim=None, channels=1, refinement=1, blocks=1, expansion=2):
    """Shapes by released name of a network of `dim` channels with `blocks` at each scale and any refinement."""
    width, heads, window_heads = [dim, 2 * dim, 4 * dim, 8 * dim], [1, 2, 4, 8], [2, 2, 3, 4]
    shapes = {}
    for side, inputs in (('A', channels), ('B', 1)):
        encoder = f'encoder_{side}'
        shapes[f'{encoder}.patch_embed.proj.weight'] = (dim, inputs, 3, 3)
        for level in range(4):
            for block in range(blocks):
                shapes |= _block(f'{encoder}.encoder_level{level + 1}.{block}', width[level], heads[level],
                                 window_heads[level], expansion)
        for level in range(3):
            shapes[f'{encoder}.down{level + 1}_{level + 2}.body.0.weight'] = (width[level] // 2, width[level], 3, 3)
        shapes |= _windows(f'cross_attention.spatial_attn_{side}', width[3], 4, 16)
        shapes |= _channels(f'cross_attention.channel_attn_{side}', width[3], 8)
        shapes[f'cross_attention.fusion_{side}.weight'] = (width[3], 2 * width[3], 1, 1)
    for level in range(4):
        inner = width[level] * (1 if level else 2)
        shapes |= _channels(f'feature_fusion_{level + 1}.channel_attn', 2 * width[level], 8)
        shapes |= _windows(f'feature_fusion_{level + 1}.spatial_attn', 2 * width[level], 4, 32)
        shapes |= {f'feature_fusion_{level + 1}.conv.weight': (width[level], 2 * width[level], 3, 3),
                   f'feature_fusion_{level + 1}.conv.bias': (width[level],)}
        places = [f'decoder_level{level + 1}.{block}' for block in range(blocks)]
        places += [f'refinement.{block}' for block in range(refinement)] if level == 0 else []
        for place in places:
            shapes |= _block(place, inner, heads[level], window_heads[level], expansion)
        if text_dim:
            guidance = f'prompt_guidance_{level + 1}.fc'
            shapes |= {f'{guidance}.0.weight': (width[level], text_dim), f'{guidance}.0.bias': (width[level],),
                       f'{guidance}.2.weight': (2 * width[level], width[level]),
                       f'{guidance}.2.bias': (2 * width[level],)}
        if level:
            shapes[f'up{level + 1}_{level}.body.0.weight'] = (2 * width[level], width[level], 3, 3)
        if level in (1, 2):
            shapes[f'reduce_chan_level{level + 1}.weight'] = (width[level], 2 * width[level], 1, 1)
    return shapes | {'output.weight': (channels, 2 * dim, 3, 3)}


def _block(name, dim, heads, window_heads, expansion):
    shapes = {f'{name}.norm{norm}.body.{part}': (dim,) for norm in (1, 2, 3, 4) for part in ('weight', 'bias')}
    shapes |= _windows(f'{name}.spatial_attn', dim, window_heads, 16) | _channels(f'{name}.channel_attn', dim, heads)
    hidden = int(dim * expansion)
    for kind in ('channel', 'spatial'):
        shapes |= {f'{name}.{kind}_ffn.project_in.weight': (2 * hidden, dim, 1, 1),
                   f'{name}.{kind}_ffn.dwconv.weight': (2 * hidden, 1, 3, 3),
                   f'{name}.{kind}_ffn.project_out.weight': (dim, hidden, 1, 1)}
    return shapes


def _windows(name, dim, heads, head_dim):
    inner = heads * head_dim
    return {f'{name}.qkv.weight': (3 * inner, dim, 1, 1), f'{name}.project_out.weight': (dim, inner, 1, 1),
            f'{name}.rel_pos_emb.rel_height': (23, head_dim), f'{name}.rel_pos_emb.rel_width': (23, head_dim)}


def _channels(name, dim, heads):
    return {f'{name}.temperature': (heads, 1, 1), f'{name}.qkv.weight': (3 * dim, dim, 1, 1),
            f'{name}.qkv_dwconv.weight': (3 * dim, 1, 3, 3), f'{name}.project_out.weight': (dim, dim, 1, 1)}
