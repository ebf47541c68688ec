"""A block of single tokens equals attention that sees one token."""

import pytest
import torch
from torch import nn

from vlfusion.models.layers.single_token_block import SingleTokenBlock


@pytest.mark.parametrize('heads', [1, 4])
def test_it_equals_a_block_whose_attention_sees_one_token(heads):
    torch.manual_seed(0)
    block = SingleTokenBlock(16).double()
    whole = nn.TransformerEncoderLayer(16, heads, 64, dropout=0, activation='gelu', batch_first=True, norm_first=True,
                                       dtype=torch.double)
    for parameter in [*block.parameters(), *whole.parameters()]:
        nn.init.normal_(parameter, std=0.3)  # queries and keys that are far from nothing
    attention = whole.self_attn
    with torch.no_grad():
        attention.in_proj_weight[32:] = block.value.weight
        attention.in_proj_bias[32:] = block.value.bias
    for own, theirs in ((block.project, attention.out_proj), (block.attention_norm, whole.norm1),
                        (block.feed_forward_norm, whole.norm2), (block.feed_forward[0], whole.linear1),
                        (block.feed_forward[2], whole.linear2)):
        theirs.load_state_dict(own.state_dict())
    x = torch.randn(2, 7, 16, dtype=torch.double)
    alone = whole(x.reshape(14, 1, 16)).reshape(2, 7, 16)  # sequences of one token
    torch.testing.assert_close(block(x), alone)
    assert not torch.allclose(block(x), whole(x))  # as it is not where tokens see each other


def test_nothing_passes_between_tokens():
    block, x = SingleTokenBlock(8), torch.randn(1, 5, 8, requires_grad=True)
    block(x)[0, 2].sum().backward()
    assert x.grad[0, 2].abs().sum() > 0 and x.grad[0, [0, 1, 3, 4]].abs().sum() == 0
