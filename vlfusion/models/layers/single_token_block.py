"""The transformer block of DATFuse, MATR and YDTR, in which attention sees one token at a time.

The authors' code uses the block of Swin (Liu et al., ICCV 2021) with windows of one token. A token that attends to
itself alone has the attention weight 1 for any query, key and position bias. So attention is only a projection of the
token's value, and tokens exchange nothing. Queries, keys and biases are left out here.
"""

from collections.abc import Mapping

from jaxtyping import Float, Shaped
from torch import Tensor, nn

#: Patterns of our names of a block's parts, and their names in the released DATFuse, MATR and YDTR, as arguments of
#: `vlfusion.models.released.by_patterns`.
RELEASED_BLOCK_PARTS = (
    (r'attention_norm', r'norm1'),
    (r'\.value', r'.attn.qkv'),
    (r'\.project', r'.attn.proj'),
    (r'feed_forward_norm', r'norm2'),
    (r'feed_forward\.0', r'mlp.fc1'),
    (r'feed_forward\.2', r'mlp.fc2'),
)


def values_only(state: Mapping[str, Shaped[Tensor, '...']]) -> dict[str, Shaped[Tensor, '...']]:
    """Remove queries, keys and position biases, on which no output depends, from a released state.

    The value is the last third of each released `qkv`.
    """
    return {name: value.chunk(3)[2].clone() if '.qkv.' in name else value for name, value in state.items()
            if '.attn.relative_position_' not in name}


class SingleTokenBlock(nn.Module):
    """A block that computes `x + P V norm(x)`, then `x + MLP(norm(x))`, for each token on its own.

    >>> import torch
    >>> SingleTokenBlock(16)(torch.rand(2, 5, 16)).shape
    torch.Size([2, 5, 16])

    Args:
        dim: width of a token.
        expansion: hidden width of the feed-forward network, as a multiple of `dim`.
    """

    def __init__(self, dim: int, expansion: int = 4):
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim)
        self.value = nn.Linear(dim, dim)
        self.project = nn.Linear(dim, dim)
        self.feed_forward_norm = nn.LayerNorm(dim)
        self.feed_forward = nn.Sequential(nn.Linear(dim, expansion * dim), nn.GELU(), nn.Linear(expansion * dim, dim))

    def forward(self, x: Float[Tensor, 'batch token dim']) -> Float[Tensor, 'batch token dim']:
        x = x + self.project(self.value(self.attention_norm(x)))
        return x + self.feed_forward(self.feed_forward_norm(x))
