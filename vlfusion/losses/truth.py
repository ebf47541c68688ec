"""Supervised terms, for data sets that hold the true image of each pair (their key `truth`)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.errors import ConfigError, did_you_mean
from vlfusion.registry import LOSSES

NORMS = {'l1': torch.abs, 'l2': torch.square}


@LOSSES.register_module()
class TruthLoss(nn.Module):
    """Mean of `(F - T)^2`, or of `|F - T|`, with `T` the true image. The first term of IFCNN and similar methods.

    Args:
        weight: factor in the total.
        norm: `l2` for the squared difference, `l1` for the absolute one.

    >>> TruthLoss(norm='l1')(*(torch.full((1, 1, 2, 2), level) for level in (0.5, 0.0, 1.0, 0.25)))
    tensor(0.2500)

    Raises:
        ConfigError: `norm` is neither.
    """

    def __init__(self, weight: float = 1.0, norm: str = 'l2'):
        super().__init__()
        if norm not in NORMS:
            raise ConfigError(f'TruthLoss has no norm {norm!r}.', did_you_mean(norm, NORMS))
        self.weight, self.norm = weight, norm

    def forward(self, fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
                source_b: Float[Tensor, 'batch 1 h w'], truth: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, '']:
        return NORMS[self.norm](fused - truth).mean()
