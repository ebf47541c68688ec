"""Backbones that give no image, or NaN, are named."""

import pytest
import torch
from torch import nn

from vlfusion.errors import NetworkError
from vlfusion.models import FusionModel, colour_strength
from vlfusion.models.fusion_model import run_backbone
from vlfusion.registry import BACKBONES

WHAT = {
    'none': (lambda a: None, 'returned NoneType; expected a tensor'), 'list': (lambda a: [a], 'returned list'),
    'ints': (lambda a: a.long(), 'returned torch.int64'),
    'rows': (lambda a: a[..., 1:, :], r'returned the shape \(1, 1,'),
    'channels': (lambda a: a.repeat(1, 3, 1, 1), r'\(1, 3, 8, 9\); expected \(1, 1, 8, 9\)'),
    'one': (lambda a: a[0], 'returned the shape'), 'raises': (lambda a: a @ a, 'Odd fails: RuntimeError'),
    'exit': (lambda a: exit(5), r'Odd fails: it called sys.exit\(5\)'), 'memory': (lambda a: {}[3], 'KeyError: 3'),
}


@pytest.fixture(autouse=True)
def odd():
    @BACKBONES.register_module()
    class Odd(nn.Module):
        def __init__(self, what):
            super().__init__()
            self.what = what

        def forward(self, source_a, source_b):
            return WHAT[self.what][0](source_a)
    yield
    [name] = [name for name in BACKBONES.names() if name.endswith('.Odd')]
    del BACKBONES.module_dict[name]


@pytest.mark.parametrize('what', WHAT)
@pytest.mark.parametrize('mode', ['tensor', 'predict', 'loss'])
def test_a_backbone_that_gives_no_image_is_named(what, mode):
    image = torch.rand(1, 1, 8, 9)
    with pytest.raises(NetworkError, match=WHAT[what][1]) as caught:
        FusionModel(dict(type='Odd', what=what))(image, image, name=['1'], mode=mode)
    assert 'The backbone Odd' in caught.value.problem and '\n' not in caught.value.problem


def test_a_backbone_that_gives_nan_is_named_with_the_pair():
    image = torch.rand(1, 1, 8, 9)
    WHAT['nan'] = lambda a: a * float("nan"), ''
    with pytest.raises(NetworkError, match='The backbone Odd returned NaN or infinity for p7'):
        FusionModel(dict(type='Odd', what='nan'))(image, image, name=['p7'], mode='predict')


@pytest.mark.parametrize('images', [3, 12])
def test_one_image_for_each_instruction_is_expected(images):
    """A pair may have several instructions, each with its image; a backbone that gives another number is named."""
    class Several(nn.Module):
        several_instructions = True

        def forward(self, source_a, source_b, instruction=None):
            return source_a.repeat_interleave(images // len(source_a), 0)
    image = torch.rand(3, 1, 8, 9)
    assert run_backbone(Several(), image, image, instruction=torch.rand(images, 5, 4)).shape == (images, 1, 8, 9)
    with pytest.raises(NetworkError, match=rf'returned the shape \({images}, 1, 8, 9\); expected \(6, 1, 8, 9\)'):
        run_backbone(Several(), image, image, instruction=torch.rand(6, 5, 4))


def test_a_colour_strength_that_fails_is_named():
    class Colourful(nn.Module):
        text_dim = dict(instruction=4)

        def colour_strength(self, instruction, instruction_mask):
            return instruction[9]
    with pytest.raises(NetworkError, match='colour_strength of the backbone Colourful fails: IndexError'):
        colour_strength(Colourful(), torch.rand(1, 3, 4))
