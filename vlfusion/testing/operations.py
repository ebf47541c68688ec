"""Count operations as a GPU would get them, without a GPU."""

from collections import Counter

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_any, tree_map_only

_aten = torch.ops.aten


class Operations(TorchDispatchMode):
    """Counts the operations that run inside this block, views excluded. Each is at least one kernel on a GPU.

    Meant for tensors on torch's device `meta`, which have shapes but no values.

        with torch.device('meta'), Operations() as operations:
            network(*images)
        assert operations.total < 600

    Attributes:
        counts: number of calls by operation.
    """

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    @property
    def total(self) -> int:
        """Number of all operations."""
        return sum(self.counts.values())

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if not function.is_view and function not in _FREE and tree_any(lambda leaf: isinstance(leaf, Tensor), result):
            self.counts[function] += 1
        if function in _CONVOLUTIONS and any(_channels_last(x) for x in args[:2]):
            # On a GPU the result keeps this memory format; on `meta` torch forgets it, and views would become copies.
            return tree_map_only(Tensor, _as_channels_last, result)
        return result


#: Operations without a kernel: they only allocate, or pass a tensor on.
_FREE = {_aten.empty.memory_format, _aten.empty_like.default, _aten._unsafe_view.default, _aten.detach.default}
_CONVOLUTIONS = {_aten.convolution.default, _aten.convolution_backward.default}


def _channels_last(x: Tensor) -> bool:
    return x.dim() == 4 and x.stride(1) == 1 and x.shape[1] > 1


def _as_channels_last(x: Tensor) -> Tensor:
    return torch.empty_like(x, memory_format=torch.channels_last) if x.dim() == 4 else x
