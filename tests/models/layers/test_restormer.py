"""Restormer's block equals its equations."""

import pytest
import torch
import torch.nn.functional as F
from einops import rearrange

from vlfusion.errors import ConfigError
from vlfusion.models.layers import strips
from vlfusion.models.layers.restormer import RestormerBlock


def textbook(block: RestormerBlock, x):
    """The block by the equations of the paper, in their order."""
    def norm(x, layer):
        normal = (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True, unbiased=False) + 1e-5).sqrt()
        return normal * layer.weight[:, None, None] + layer.bias[:, None, None]

    def depthwise(x, layer):
        return F.conv2d(x, layer.weight, padding=1, groups=len(layer.weight))

    attention, feed_forward = block.attention, block.feed_forward
    qkv = depthwise(attention.qkv(norm(x, block.attention_norm)), attention.qkv_depthwise)
    q, k, v = (rearrange(part, 'b (n c) h w -> b n c (h w)', n=len(attention.temperature)) for part in qkv.chunk(3, 1))
    weights = (F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).mT * attention.temperature).softmax(-1)
    x = x + attention.project(rearrange(weights @ v, 'b n c (h w) -> b (n c) h w', h=x.shape[2]))
    gate, value = depthwise(feed_forward.expand(norm(x, block.feed_forward_norm)), feed_forward.depthwise).chunk(2, 1)
    return x + feed_forward.project(F.gelu(gate) * value)


@pytest.mark.parametrize(('dim', 'heads', 'expansion'), [(32, 8, 4), (64, 8, 2)])
@pytest.mark.parametrize('pixels', [1, 40, 6_144])  # two rows, several, and all rows at a time
def test_output_and_gradients_equal_the_equations(monkeypatch, dim, heads, expansion, pixels):
    monkeypatch.setitem(strips.PIXELS, 'cpu', pixels)
    torch.manual_seed(0)
    block = RestormerBlock(dim, heads, expansion).double()
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.3)  # so that temperature, scale and shift differ from their defaults
    x = torch.randn(2, dim, 7, 9, dtype=torch.double, requires_grad=True)
    wanted = [x, *block.parameters()]
    outputs = block(x), textbook(block, x)
    torch.testing.assert_close(*outputs)
    ours, theirs = (torch.autograd.grad(output.square().sum(), wanted) for output in outputs)
    torch.testing.assert_close(ours, theirs)
    with torch.no_grad():
        torch.testing.assert_close(block(x), outputs[1])


def test_output_is_channels_last_whatever_the_input():
    block, x = RestormerBlock(16, heads=2), torch.randn(2, 16, 7, 9)
    outputs = [block(x), block(x.contiguous(memory_format=torch.channels_last))]
    assert all(output.is_contiguous(memory_format=torch.channels_last) for output in outputs)
    assert torch.equal(*outputs)


def test_a_black_image_has_finite_gradients():
    block, x = RestormerBlock(8, heads=2), torch.zeros(1, 8, 6, 6, requires_grad=True)
    block(x).sum().backward()
    assert all(tensor.grad.isfinite().all() for tensor in (x, *block.parameters()))


def test_cosines_do_not_overflow_in_half_precision():
    block, x = RestormerBlock(8, heads=2).half(), torch.randn(1, 8, 100, 100).half()
    with torch.no_grad():
        block.attention.qkv_depthwise.weight.mul_(50)  # the sum of 10,000 squares exceeds 65,504
        assert block(x).isfinite().all()


def test_heads_must_divide_channels():
    with pytest.raises(ConfigError, match='10 channels cannot be divided among 4 heads'):
        RestormerBlock(10, heads=4)
