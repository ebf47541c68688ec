"""CLIP-Mamba against numbers in tests/data: the released code ran once, in float64, on states and images drawn here.

A plain recurrence stood in for the CUDA kernel of its selective scan. `released.npz`: the released network on two
images. `released.json`: four steps of Adam (1e-3) of that network in training mode without dropout, under 10 times its
structure term and 100 times its edge term; the terms before each step, and sums of the state afterwards.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vlfusion.testing.released import check_conversion, draw_state
from vlfusion.testing.shared import shared
from vlfusion.testing.toys import take_one_step, write_tiny_clip

pytest.importorskip('vlfusion_clipmamba', reason='pip install --editable plugins/clipmamba')

from vlfusion_clipmamba import CLIPAlignmentLoss, CLIPMamba, EdgeLoss, StructureLoss
from vlfusion_clipmamba.model import DifferenceConv, SelectiveScan2d, SpatialChannelReconstruction

from vlfusion.config import load_config
from vlfusion.engine.compat import load_checkpoint_file
from vlfusion.errors import ConfigError
from vlfusion.imaging.images import luminance, read_image
from vlfusion.models.fusion_model import FusionModel
from vlfusion.registry import BACKBONES, LOSSES, MODELS
from vlfusion.testing import check_backbone, check_loss

CONFIGS = Path(__file__).parents[1] / 'configs'
DATA = Path(__file__).parent / 'data'
IMAGES = np.load(DATA / 'released.npz')
NUMBERS = json.loads((DATA / 'released.json').read_text())
#: Shape of each released tensor.
SHAPES = {name: tuple(shape) for name, shape in NUMBERS['shapes'].items()}
SENTENCE = 'a clear image'


def released_state():
    """The drawn state; its rates vary and its output spreads around 0."""
    state = draw_state(SHAPES, seed=5)
    state['glm_attn.self_attention.A_logs'] = torch.from_numpy(np.random.default_rng(1).normal(size=(256, 16)))
    state['convolutional_out.conv.weight'] *= 6
    state['convolutional_out.conv.bias'] -= 3.7
    return state


def pair(batch=2, size=(18, 22)):
    return torch.from_numpy(np.random.default_rng(11).random((2, batch, 1, *size))).unbind()


def network(**options):
    net = BACKBONES.build(dict(type='vlfusion_clipmamba.CLIPMamba', **options)).eval().double()
    net.load_state_dict(CLIPMamba.convert_released(released_state()))
    return net


@pytest.mark.parametrize(('name', 'size'), [('first', (18, 22)), ('second', (25, 12))])
def test_equals_the_released_network(name, size):
    with torch.no_grad():
        fused = network()(*pair(1, size))[0, 0].numpy()
    assert IMAGES[name].min() < -0.3 and IMAGES[name].max() > 0.2
    np.testing.assert_allclose(fused, IMAGES[name].clip(0, 1), rtol=0, atol=1e-8)


def test_training_equals_the_released_step():
    model = FusionModel(dict(type='vlfusion_clipmamba.CLIPMamba', drop=0., drop_path=0.),
                        [dict(type='vlfusion_clipmamba.StructureLoss'), dict(type='vlfusion_clipmamba.EdgeLoss')])
    model = model.double().train()
    model.backbone.load_state_dict(CLIPMamba.convert_released(released_state()))
    terms = list(model.losses.values())
    assert [term.weight for term in terms] == [10, 100]
    optimizer, (a, b) = torch.optim.Adam(model.parameters(), lr=1e-3), pair()
    for expected in NUMBERS['steps']:
        fused = model.backbone(a, b)
        assert fused.min() < -0.5, 'SSIM takes the values to span 2'
        structure, edges = (term(fused, a, b) for term in terms)
        assert structure.item() == pytest.approx(expected['structure'], rel=1e-6)
        assert edges.item() == pytest.approx(expected['gradient'], rel=1e-8)
        optimizer.zero_grad()
        (10 * structure + 100 * edges).backward()
        optimizer.step()
    state = model.backbone.state_dict()
    for released, total in NUMBERS['sums'].items():
        name = next(ours for ours, theirs in names().items() if theirs == released)
        assert state[name].sum().item() == pytest.approx(total, abs=1e-7 * NUMBERS['absolute'][released])
    assert state['norm.num_batches_tracked'] == 16  # four times a step


def names():
    """Our name of each tensor, and the released one."""
    marks = {name: torch.full((1,), index) for index, name in enumerate(SHAPES)}
    order = list(SHAPES)
    return {ours: order[int(mark)] for ours, mark in CLIPMamba.convert_released(marks).items()}


@pytest.mark.slow
def test_equals_the_authors_pictures():
    """Their luminance is JPEG and their colour step changes it; outside the SPECT both matter little."""
    net = CLIPMamba().eval()
    net.load_state_dict(CLIPMamba.convert_released(load_checkpoint_file(shared('zoo/clipmamba/model_300.pth'))))
    mri, spect = (torch.from_numpy(luminance(read_image(shared(f'zoo/clipmamba/test/{kind}/02.jpg'))))[None, None]
                  for kind in ('MRI', 'SPECT'))
    with torch.no_grad():
        fused = net(mri, spect)[0, 0].numpy() * 255
    theirs = luminance(read_image(shared('zoo/clipmamba/output/02.jpg'))) * 255
    grey = spect[0, 0].numpy() == 0
    assert np.abs(fused - theirs)[grey].mean() < 1.2
    assert np.corrcoef(fused[grey], theirs[grey])[0, 1] > 0.997


@pytest.mark.slow
def test_what_every_backbone_must_do():
    torch.manual_seed(0)
    check_backbone(CLIPMamba(dim=16, states=4))
    check_backbone(CLIPMamba(dim=16, states=2), size=(5, 3))


def test_parameter_count():
    assert sum(parameter.numel() for parameter in CLIPMamba().parameters()) == 49_140


def test_the_kernels_of_differences_by_hand():
    conv = DifferenceConv(1, 1).double()
    images = torch.rand(2, 1, 6, 7, dtype=torch.float64)
    with torch.no_grad():
        for parameter in conv.parameters():
            parameter.zero_()
        for part in ('central', 'horizontal', 'vertical', 'angular'):
            getattr(conv, part).weight.normal_()
        flat = conv(torch.ones_like(images))[..., 1:-1, 1:-1]
        assert flat.abs().max() < 1e-12, 'differences of a flat image are 0'
        conv.angular.weight.zero_(), conv.vertical.weight.zero_(), conv.central.weight.zero_()
        w = conv.horizontal.weight[0, 0]
        expected = sum(w[row] * (images[0, 0, row, 0] - images[0, 0, row, 2]) for row in range(3))
        assert conv(images)[0, 0, 1, 1].item() == pytest.approx(expected.item())


def test_separation_keeps_the_sum_of_both_halves():
    """Values cross between the halves of the channels; none is lost, and those that the scale raises stay."""
    unit = SpatialChannelReconstruction(8)
    x = torch.rand(2, 8, 5, 6)
    separated = unit.separate(x)
    grouped = x.unflatten(1, (4, -1)).flatten(2)
    normalised = ((grouped - grouped.mean(2, True)) / grouped.std(2, keepdim=True)).reshape(x.shape) * unit.scale
    upper, lower = normalised.chunk(2, 1)
    torch.testing.assert_close(sum(separated.chunk(2, 1)), upper + lower, rtol=1e-4, atol=1e-5)
    up = upper * unit.scale[:4] / unit.scale.sum() >= 0
    low = lower * unit.scale[4:] / unit.scale.sum() >= 0
    expected = torch.where(up, upper, 0) + torch.where(low, 0, lower)
    torch.testing.assert_close(separated[:, :4], expected, rtol=1e-4, atol=1e-5)


def test_each_way_of_the_scan_sees_what_lies_before_it():
    """With the weights of one way alone, a pixel reaches only the places after it on that way."""
    torch.manual_seed(0)
    scan, image = SelectiveScan2d(4, 2), torch.rand(1, 8, 5, 6)
    changed = image.clone()
    changed[..., 2, 3] += 1
    for way, image_of in ((0, lambda x: x), (1, lambda x: x.mT), (2, lambda x: x.flip(2, 3)),
                          (3, lambda x: x.mT.flip(2, 3))):
        moved = (scan.scan(way, image_of(changed)) - scan.scan(way, image_of(image))).abs().sum(1)[0].flatten() > 0
        place = int(image_of(changed - image)[0, 0].flatten().argmax())
        assert not moved[:place].any() and moved[place]


def test_halves_of_the_image_interleave():
    """The released code shuffles columns instead of channels: what the mixer adds for column 1 goes to column 2."""
    torch.manual_seed(0)
    mixer = CLIPMamba(dim=16, states=2).mix.eval()
    mixer.scan.project.weight.data.zero_()
    x = torch.zeros(1, 16, 4, 8)
    added = mixer(x) - x
    columns = torch.arange(8).unflatten(0, (2, -1)).mT.flatten()
    assert columns.tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    local = torch.cat((mixer.local(x[:, :8]), torch.zeros(1, 8, 4, 8)), 1)
    torch.testing.assert_close(added, local[..., columns])


def test_dropping_leaves_the_scan_out():
    a, b = (image.float() for image in pair())
    torch.manual_seed(0)
    net = CLIPMamba(dim=16, states=2, drop=0., drop_path=0.5).train()
    with torch.no_grad():
        outputs = {tuple(net(a, b).flatten()[:3].tolist()) for _ in range(12)}
    assert 1 < len(outputs) <= 4  # either image of the two with or without its scan


def test_states_of_another_network_are_refused():
    check_conversion(CLIPMamba(), released_state(), missing='cam.fc.2.bias', unknown='deConv.conv1_6.bias')


@pytest.mark.parametrize('loss', [StructureLoss, EdgeLoss])
def test_what_every_loss_must_do(loss):
    check_loss(loss())


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    """The name of a tiny random model of open_clip."""
    pytest.importorskip('open_clip', reason="pip install 'vlfusion[vision]'")
    return write_tiny_clip(tmp_path_factory.mktemp('clip'))


@pytest.fixture
def images():
    return list(torch.rand(3, 2, 1, 24, 31, generator=torch.Generator().manual_seed(0)).unbind())


@pytest.mark.parametrize('normalise', [False, True])
def test_alignment_by_its_formula(clip, images, normalise):
    import open_clip
    loss = CLIPAlignmentLoss(model=clip, pretrained=None, sentence=SENTENCE, normalise=normalise)
    model = open_clip.create_model(clip).eval()
    with torch.no_grad():
        if normalise:
            [text], (fused, a, b) = loss.clip.texts(torch.device('cpu')), (loss.clip.images([x]) for x in images)
        else:
            [text] = model.encode_text(open_clip.get_tokenizer(clip)([SENTENCE]))
            fused, a, b = (model.encode_image(F.interpolate(x.repeat(1, 3, 1, 1), (16, 16), mode='bilinear',
                                                            align_corners=True)) for x in images)
    expected = (fused - a).square().mean() + (fused - b).square().mean() + 1 - torch.sigmoid(fused @ text).mean()
    assert loss(*images).item() == pytest.approx(expected.item(), rel=1e-5)


def test_alignment_has_no_gradient_unless_asked(clip, images):
    fused = images[0].requires_grad_()
    assert not CLIPAlignmentLoss(model=clip, pretrained=None)(fused, *images[1:]).requires_grad
    for normalise in (False, True):
        loss = CLIPAlignmentLoss(model=clip, pretrained=None, gradient=True, normalise=normalise)
        [gradient] = torch.autograd.grad(loss(fused, *images[1:]), fused)
        assert gradient.isfinite().all() and gradient.any()
        assert not list(loss.parameters()) and not loss.state_dict()


@pytest.mark.slow
def test_what_every_loss_must_do_with_clip(clip):
    check_loss(CLIPAlignmentLoss(model=clip, pretrained=None, gradient=True, normalise=True))


def test_alignment_depends_on_the_sentence(clip, images):
    gradients = []
    for sentence in ('a clear image', 'a dark street at night'):
        fused = images[0].clone().requires_grad_()
        loss = CLIPAlignmentLoss(model=clip, pretrained=None, sentence=sentence, gradient=True, normalise=True)
        loss(fused, *images[1:]).backward()
        gradients.append(fused.grad)
    assert (gradients[0] - gradients[1]).abs().max() > 1e-6


def test_missing_weights_are_said(images):
    with pytest.raises(ConfigError, match='cannot load'):
        LOSSES.build(dict(type='vlfusion_clipmamba.CLIPAlignmentLoss', model='local-dir:absent',
                          pretrained=None))(*images)


def test_the_sample_config_builds_its_model():
    model = MODELS.build(load_config(CONFIGS / 'clipmamba_mif_sample.py').model)
    assert isinstance(model.backbone, CLIPMamba) and len(model.losses) == 2


@pytest.mark.slow
def test_the_config_with_text_takes_one_step(tmp_path, clip):
    options = {'model.backbone.dim': 16, 'model.backbone.states': 2, 'model.losses.2.model': clip,
               'model.losses.2.pretrained': None}
    checkpoint = take_one_step(CONFIGS / 'clipmamba_spect_text.py', tmp_path, (42, 44), **options)
    state = torch.load(checkpoint, weights_only=True)['state_dict']
    assert all(name.startswith('backbone.') for name in state)
