"""The check of losses names each fault."""

import pytest
import torch
from torch import nn

from vlfusion.registry import LOSSES
from vlfusion.testing import check_loss


class Distance(nn.Module):
    """A correct loss, and the faults it can be given."""

    def __init__(self, fault=''):
        super().__init__()
        self.fault = fault
        if fault != 'weightless':
            self.weight = 1.0

    def forward(self, fused, source_a, source_b):
        if self.fault == 'batch':
            return (fused - source_a).square().mean((1, 2, 3))
        if self.fault == 'root':
            return (fused - source_a).square().sum().sqrt()
        if self.fault == 'detached':
            return (fused.detach() - source_a).square().mean()
        if self.fault == 'zero':
            return (0 * fused).sum()
        if self.fault == 'black':
            return (fused / source_a.amax()).mean()
        if self.fault == 'changed':
            source_b += 1
        if self.fault == 'device':
            source_a = source_a * torch.tensor(1.)
        return (fused - source_a).square().mean()


@pytest.mark.parametrize(('fault', 'message'), [
    ('weightless', 'a number `weight`'), ('batch', r'shape \(2,\)'),
    ('root', 'equal images the gradient is not finite'), ('detached', 'no gradient reaches'),
    ('zero', 'gradient is zero'), ('black', 'For black images the loss is nan'),
    ('changed', 'changes its random images'), ('device', 'loss would fail on a GPU. .* mul at test_losses.py'),
])
def test_each_fault_is_named(fault, message):
    check_loss(Distance())
    with pytest.raises(AssertionError, match=message):
        check_loss(Distance(fault))


#: Losses of instructions need more arguments: tests/test_conformance.py has them.
INSTRUCTED = ('Asked', 'Swap', 'Reading', 'Region')


@pytest.mark.parametrize('name', [name for name in LOSSES.names() if '.' not in name
                                  and not name.startswith(INSTRUCTED)])
def test_the_core_losses_hold(name):
    torch.manual_seed(0)
    if name == 'PerceptualLoss':
        pytest.importorskip('timm', reason="pip install 'vlfusion[vision]'")
        check_loss(LOSSES.build(dict(type=name, model='resnet10t', pretrained=False)))
    else:
        check_loss(LOSSES.build(dict(type=name)))
