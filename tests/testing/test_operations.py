"""Operations are counted as a GPU would get them."""

import torch
from torch import nn

from vlfusion.testing.operations import Operations


def test_views_and_allocations_cost_nothing():
    with torch.device('meta'), Operations() as operations:
        x = torch.empty(2, 3, 4, 5).permute(0, 2, 3, 1).flatten(1, 2)
        y = torch.empty_like(x)
    assert operations.total == 0
    with operations:
        (x * y).sum()
    assert {str(operation): count for operation, count in operations.counts.items()} == {
        'aten.mul.Tensor': 1, 'aten.sum.default': 1}


def test_convolutions_keep_the_memory_format_as_on_a_gpu():
    with torch.device('meta'), Operations() as operations:
        conv = nn.Conv2d(4, 8, 3)
        x = torch.empty(2, 4, 9, 9).contiguous(memory_format=torch.channels_last).requires_grad_()
        operations.counts.clear()
        y = conv(x)
        pixels = y.permute(0, 2, 3, 1).flatten(0, 2)
    assert pixels.shape == (98, 8) and operations.total == 1, 'a convolution and a view, no copy'
    with operations:
        y.sum().backward()
    assert x.grad.stride(1) == 1
