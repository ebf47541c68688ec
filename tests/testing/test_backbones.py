import pytest
import torch
from torch import nn

from vlfusion.testing import check_backbone


class Blend(nn.Module):
    """A correct backbone, and the faults it can be given."""

    def __init__(self, fault=''):
        super().__init__()
        self.fault = fault
        self.mix = nn.Conv2d(2, 1, 3, padding=1)
        self.spare = nn.Linear(1, 1) if fault == 'unused' else None

    def forward(self, source_a, source_b, text=None, text_mask=None):
        fused = self.mix(torch.cat((source_a, source_b), 1))
        if self.fault == 'range':
            return fused * 100
        if self.fault == 'shape':
            return fused[..., 1:].sigmoid()
        if self.fault == 'batch':
            fused = fused - fused.mean()
        if self.fault == 'black':
            fused = fused / source_a.amax((1, 2, 3), keepdim=True)
        if self.fault == 'detached':
            fused = fused * 0 + source_a
        return fused.sigmoid()


def test_a_correct_backbone_passes():
    check_backbone(Blend())


@pytest.mark.parametrize(('fault', 'message'), [
    ('unused', 'No gradient for spare.weight'),
    ('detached', 'No gradient for mix.weight'),
    ('range', r'expected to lie within \[0, 1\]'),
    ('shape', r'shape \(2, 1, 20, 27\); expected \(2, 1, 20, 28\)'),
    ('batch', 'differs from its images fused singly'),
    ('black', 'NaN or infinity'),
])
def test_each_fault_is_named(fault, message):
    with pytest.raises(AssertionError, match=message):
        check_backbone(Blend(fault))
