"""Attention between pixels equals its formula and is computed in blocks; CBAM equals its formula."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from vlfusion.models.layers.cbam import CBAM
from vlfusion.models.layers.pixel_attention import CrossAttention, PixelAttention, SelfAttention


def read(queries: PixelAttention, values: PixelAttention, asking, asked):
    """Attention with one head, the whole matrix at once."""
    query, _, _ = queries.qkv(asking).flatten(2).mT.chunk(3, -1)
    _, key, value = values.qkv(asked).flatten(2).mT.chunk(3, -1)
    weights = (query @ key.mT / query.shape[-1] ** 0.5).softmax(-1)
    return values.project((weights @ value).mT.reshape(asked.shape))


@pytest.fixture
def maps():
    torch.manual_seed(0)
    return torch.randn(2, 2, 32, 5, 7, dtype=torch.float64).unbind()


def test_self_attention(maps):
    layer, x = SelfAttention(32).double(), maps[0]
    torch.testing.assert_close(layer(x), x + read(layer, layer, *[layer.norm(x)] * 2))


def test_each_source_is_asked_by_the_other(maps):
    layer = CrossAttention(32).double()
    a, b = layer.a.norm(maps[0]), layer.b.norm(maps[1])
    out_a, out_b = layer(*maps)
    torch.testing.assert_close(out_a, a + read(layer.b, layer.a, b, a))
    torch.testing.assert_close(out_b, b + read(layer.a, layer.b, a, b))


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_the_matrix_of_all_pixels_is_never_made(maps, layout):
    """Torch's kernel that computes in blocks refuses tensors that it cannot take."""
    x, layer = maps[0].contiguous(memory_format=layout).requires_grad_(), SelfAttention(32).double()
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        blocks = layer(x)
        blocks.square().sum().backward()
    with sdpa_kernel(SDPBackend.MATH):
        torch.testing.assert_close(blocks, layer(x))


def test_cbam(maps):
    layer, x = CBAM(32, bias=True).double(), maps[0]
    channels, pixels = layer
    weights = channels.weigh(x.mean((2, 3), keepdim=True)) + channels.weigh(x.amax((2, 3), keepdim=True))
    x = x * weights.sigmoid()
    stacked = torch.stack((x.mean(1), x.amax(1)), 1)
    torch.testing.assert_close(layer(maps[0]), x * pixels.weigh(stacked).sigmoid())
    assert not any(name.endswith('0.weigh.0.bias') for name, _ in CBAM(32).named_parameters())
    assert CBAM(8)(torch.rand(1, 8, 4, 4)).shape == (1, 8, 4, 4)
