"""The check of backbones passes a correct one and names each fault."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vlfusion.errors import ConfigError, DataError
from vlfusion.testing import check_backbone, survey_backbone
from vlfusion.testing.backbones import CHECKS, EXTRAS


class Blend(nn.Module):
    """A correct backbone, and the faults it can be given."""

    def __init__(self, fault=''):
        super().__init__()
        self.fault = fault
        self.mix = nn.Conv2d(2, 1, 3, padding=1)
        self.spare = nn.Linear(1, 1) if fault == 'unused' else None
        self.hidden = [nn.Conv2d(1, 1, 3, padding=1)] if fault == 'stray' else []

    def forward(self, source_a, source_b, text=None, text_mask=None):
        height, width = source_a.shape[-2:]
        if self.fault == 'changed':
            source_a += 1
        if self.fault == 'odd' and height % 2:
            raise RuntimeError('sizes of tensors must match')
        if self.fault == 'mute' and height % 2:
            raise ConfigError('No odd heights.')
        if self.fault == 'refused' and height % 2:
            raise ConfigError('No odd heights.', 'Pad the images.')
        fused = self.mix(torch.cat((source_a, source_b), 1))
        if self.fault == 'range':
            return fused * 100
        if self.fault == 'shape':
            return fused[..., 1:].sigmoid()
        if self.fault == 'type':
            return fused.double().sigmoid()
        if self.fault == 'batch':
            fused = fused - fused.mean()
        if self.fault == 'black':
            fused = fused / source_a.amax((1, 2, 3), keepdim=True)
        if self.fault == 'detached':
            fused = fused * 0 + source_a
        if self.fault == 'training' and self.training:
            raise RuntimeError('not for training')
        for layer in self.hidden:
            fused = layer(fused)
        if self.fault == 'random':
            fused = fused + torch.rand(())
        if self.fault == 'device':
            fused = fused + torch.zeros(1)
        if self.fault == 'python' and bool((fused > 0).any()):
            fused = fused + 0
        return fused.sigmoid()


class Guided(nn.Module):
    """Reads a text: the mean of its tokens shifts the image."""

    text_dim = 5

    def __init__(self, fault=''):
        super().__init__()
        self.fault, self.shift = fault, nn.Linear(5, 1)

    def forward(self, source_a, source_b, text=None, text_mask=None):
        if text is None and self.fault == 'no text':
            raise AttributeError("'NoneType' object has no attribute 'shape'")
        if text is None:
            raise ConfigError('The network reads text.', 'Set text_source.')
        if text.shape[-1] != 5 and self.fault != 'width':
            raise ConfigError('Features of width 5 are wanted.', 'Use another encoder.')
        if text_mask is None or self.fault == 'mask':
            text_mask = text.new_ones(text.shape[:2])
        weight = text_mask.to(text)[..., None]
        vector = (text[..., :5] * weight).sum(1) / weight.sum(1)
        return ((source_a + source_b) / 2 + self.shift(vector)[..., None, None]).sigmoid()


class Choosing(nn.Module):
    """Reads a text, or predicts what it would say from the images."""

    text_dim, text_optional = 5, True

    def __init__(self, fault=''):
        super().__init__()
        self.fault, self.guided, self.predict = fault, Guided(), nn.Linear(1, 5)
        if fault == 'unused':
            self.spare = nn.Linear(1, 1)

    def forward(self, source_a, source_b, text=None, text_mask=None):
        if text is None:
            if self.fault == 'refuses':
                raise ConfigError('The network reads text.', 'Set text_source.')
            level = source_b if self.fault != 'batch' else source_b[:1].expand_as(source_b)
            text, text_mask = self.predict(level.mean((2, 3)))[:, None], None
        return self.guided(source_a, source_b, text, text_mask)


class Steered(nn.Module):
    """Reads a text, and an instruction that shifts the image further."""

    text_dim, text_optional = dict(text=5, instruction=4), ('instruction',)

    def __init__(self, fault=''):
        super().__init__()
        self.fault, self.guided, self.steer = fault, Guided(), nn.Linear(4, 1)

    def forward(self, source_a, source_b, text=None, text_mask=None, instruction=None, instruction_mask=None):
        fused = self.guided(source_a, source_b, text, text_mask)
        if instruction is None:
            if self.fault == 'refuses':
                raise ConfigError('The network reads an instruction.', 'Set text_source.')
            return fused
        if instruction.shape[-1] != 4:
            raise ConfigError('Features of width 4 are wanted.', 'Use another encoder.')
        mask = instruction.new_ones(instruction.shape[:2]) if instruction_mask is None else instruction_mask
        shift = (self.steer(instruction)[..., 0] * mask).sum(1) / mask.sum(1).clamp(min=1)
        if self.fault == 'padding':
            shift = shift + self.steer.bias
        return (fused + 0.1 * shift.tanh()[:, None, None, None]).clamp(0, 1)


class Weighing(nn.Module):
    """Reads a text of up to three rows, each with a weight of its own."""

    text_dim, text_tokens = 5, 3

    def __init__(self, fault=''):
        super().__init__()
        self.fault, self.guided, self.weigh = fault, Guided(), nn.Linear(3, 1)

    def forward(self, source_a, source_b, text=None, text_mask=None):
        if text is not None:
            if text.shape[1] > 3 and not self.fault:
                raise DataError('The text has more than three rows.', 'Use another encoder.')
            text = text if text_mask is None else text * text_mask[..., None]
            rows = text[:, :3] if self.fault == 'cut' else text
            text = self.weigh(F.pad(rows, (0, 0, 0, max(0, 3 - rows.shape[1]))).mT).mT
        return self.guided(source_a, source_b, text)


@pytest.mark.slow
def test_a_correct_backbone_passes():
    check_backbone(Blend(), also=EXTRAS)
    check_backbone(Guided(), also=EXTRAS)
    check_backbone(Weighing())
    check_backbone(Choosing(), also=EXTRAS)
    check_backbone(Steered(), also=EXTRAS)


@pytest.mark.parametrize(('fault', 'message'), [
    ('cut', 'text of 4 tokens is taken by a network built for 3'),
    ('crash', 'text of 4 tokens fails with RuntimeError, not with an error of vlfusion.errors')])
def test_a_text_that_is_too_long_must_be_refused(fault, message):
    torch.manual_seed(0)
    with pytest.raises(AssertionError, match=message):
        check_backbone(Weighing(fault))


@pytest.mark.parametrize(('fault', 'message'), [
    ('unused', 'No gradient for spare.weight: the output does not depend on it'),
    ('detached', 'No gradient for mix.bias: it is zero from 6 states'),
    ('stray', r'A tensor \(1.*\) learns and is no parameter of the network'),
    ('range', r'expected values within \[0, 1\]'),
    ('shape', r'shape \(2, 1, 20, 27\); expected \(2, 1, 20, 28\)'),
    ('type', 'torch.float64; expected torch.float32'),
    ('batch', 'differs from its images fused singly'),
    ('black', 'NaN or infinity'),
    ('random', 'Two calls differ'),
    ('changed', 'changes its input source_a'),
    ('odd', r'17x23 \(height x width\) fails with RuntimeError'),
    ('mute', 'refused without a remedy'),
    ('device', r'network would fail on a GPU\. .* add at test_backbones\.py'),
])
def test_each_fault_is_named(fault, message):
    torch.manual_seed(0)
    with pytest.raises(AssertionError, match=message):
        check_backbone(Blend(fault))


@pytest.mark.parametrize(('fault', 'message'), [
    ('refuses', 'Without text: The network reads text'),
    ('batch', 'Without text: A batch differs from its images fused singly'),
    ('unused', 'No gradient for spare.*zero from 6 states'),
])
def test_an_optional_text_is_left_out_too(fault, message):
    torch.manual_seed(0)
    with pytest.raises(AssertionError, match=message):
        check_backbone(Choosing(fault))


@pytest.mark.parametrize(('fault', 'message'), [
    ('refuses', 'Without instruction: The network reads an instruction'),
    ('padding', 'A pair whose instruction is all padding differs from one without by'),
])
def test_an_instruction_is_left_out_too(fault, message):
    torch.manual_seed(0)
    with pytest.raises(AssertionError, match=message):
        check_backbone(Steered(fault))


@pytest.mark.parametrize(('fault', 'message'), [
    ('mask', 'Rows hidden by text_mask change the output'),
    ('width', 'text of width 6 is taken by a network built for 5'),
])
def test_each_fault_about_text_is_named(fault, message):
    with pytest.raises(AssertionError, match=message):
        check_backbone(Guided(fault))
    with pytest.raises(AttributeError):
        check_backbone(Guided('no text'))


@pytest.mark.slow
def test_a_survey_reports_everything_and_stops_at_nothing():
    torch.manual_seed(0)
    found = {one.check: one for one in survey_backbone(Blend('python'))}
    assert list(found) == [*CHECKS, *EXTRAS]
    assert {check: one.holds for check, one in found.items()} == dict.fromkeys(found, True) | dict(
        compile=False, export=False, maps=None, stack=None, local=None, bfloat16=None)
    assert 'data-dependent' in found['compile'].detail.lower() and found['text'].detail == 'reads no text'

    found = {one.check: one for one in survey_backbone(Blend('refused'))}
    assert found['sizes'].holds and found['sizes'].detail == 'refuses 17x23, 33x20, 9x40, 5x4'
    assert {one.check for one in survey_backbone(Blend('odd')) if one.holds is False} == {'sizes'}
    found = {one.check: one for one in survey_backbone(Guided('no text'))}
    assert not found['text'].holds and found['text'].detail.startswith('AttributeError')
    weightless = {one.check: one for one in survey_backbone(Mean())}
    assert weightless['gradients'].holds is None


class Mean(nn.Module):
    def forward(self, source_a, source_b, text=None, text_mask=None):
        return (source_a + source_b) / 2


def test_training_mode_is_tried():
    with pytest.raises(RuntimeError, match='not for training'):
        check_backbone(Blend('training'))


@pytest.mark.slow
def test_a_dead_state_is_no_fault_of_the_network():
    net = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.ReLU(), nn.Conv2d(1, 1, 1), nn.Sigmoid())
    nn.init.constant_(net[0].weight, -0.01)
    nn.init.zeros_(net[0].bias)

    class Dead(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, source_a, source_b, text=None, text_mask=None):
            return self.net(source_a)
    torch.manual_seed(0)
    [gradients] = [one for one in survey_backbone(Dead()) if one.check == 'gradients']
    assert gradients.holds, gradients.detail


def test_saving_catches_a_network_that_ignores_its_file():
    class Forgetful(Blend):
        def load_state_dict(self, state):
            return None
    with pytest.raises(AssertionError, match='loaded from a file differs'):
        check_backbone(Forgetful())


class Reaching(nn.Module):
    """Two convolutions, the second of stride 2 and undone; what it declares may be wrong."""

    def __init__(self, halo=4, multiple=2, only_multiples=False, everywhere=False):
        super().__init__()
        self.halo, self.multiple, self.only_multiples = halo, multiple, only_multiples
        self.everywhere = everywhere
        self.first, self.down = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, stride=2, padding=1)

    def forward(self, source_a, source_b, text=None, text_mask=None):
        x = self.down(self.first(torch.cat((source_a, source_b), 1)).relu()).mean(1, keepdim=True)
        if self.everywhere:
            x = x - 1e-3 * x.mean((1, 2, 3), keepdim=True)
        size = None if not self.only_multiples else source_a.shape[-2:]
        x = F.interpolate(x, size, None if size else 2, 'bilinear' if size else 'nearest')
        return x[..., :source_a.shape[-2], :source_a.shape[-1]].sigmoid()


def local(backbone):
    return {one.check: one for one in survey_backbone(backbone)}['local']


@pytest.mark.slow
def test_a_halo_that_is_right_holds_and_where_none_is_declared_there_is_nothing_to_check():
    assert local(Reaching(halo=3)).holds and local(Reaching(halo=3)).detail.startswith('halo 3')
    assert local(Reaching(halo=6, only_multiples=True)).holds, 'at multiples of 2 the factor is 2'
    assert local(Blend()).holds is None


@pytest.mark.slow
@pytest.mark.parametrize(('declared', 'words'), [
    (dict(halo=0), 'halo=0'), (dict(halo=1), 'halo=1'), (dict(halo=4, multiple=1), 'multiple=1'),
    (dict(halo=4, everywhere=True), 'halo=4')])
def test_a_halo_that_is_wrong_is_caught(declared, words):
    found = local(Reaching(**declared))
    assert found.holds is False and words in found.detail
