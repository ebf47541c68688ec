"""Counts of what stops a program that works on a device: copies from the host, and waits for a result.

A GPU works behind the host, which gives it one operation after another. A wait, and a copy from ordinary memory, stop
the host until the GPU is done.
"""

import sys
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

#: Operations that take indices of the host and copy them.
INDEXING = ('index', '_unsafe_index', 'index_put', 'index_put_')
#: Beginnings of the modules that `caller` skips.
SKIPPED = ('torch', 'einops', 'jaxtyping', 'beartype', __name__, 'vlfusion.testing.toy_device')
#: Operations whose result, or its shape, the host needs: `.item()` and `if tensor` are the first.
WAITING = ('_local_scalar_dense', 'equal', 'masked_select', 'nonzero', '_unique2', 'unique_dim', 'unique_consecutive')


class Traffic(TorchDispatchMode):
    """Count copies and waits while it is active.

        with Traffic() as traffic:
            loss = model(**batch)
        assert traffic.copies == traffic.waits == []

    Attributes:
        copies: line of code of each copy from the host to a device, such as `film.py:294`. torch hides those of
            `torch.tensor(numbers, device=...)`, except on the toy device.
        waits: line of code of each operation for whose result the host waits, copies to the host among them.
    """

    def __init__(self):
        super().__init__()
        self.copies: list[str] = []
        self.waits: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if is_composite(func):
            with self:
                return func.decompose(*args, **kwargs)
        result = func(*args, **kwargs)
        self._note(func, args, kwargs, result)
        return result

    def _note(self, func, args: tuple, kwargs: dict, result) -> None:
        name = func.overloadpacket.__name__
        types = _device_types(args, kwargs, result)
        if types == {'cpu'}:
            return
        if name in ('_to_copy', 'copy_') and len(types) > 1:
            (self.waits if result.device.type == 'cpu' else self.copies).append(caller())
        if name in INDEXING:
            indices = [index for index in args[1] if index is not None]
            self.copies += [caller() for index in indices if index.device != args[0].device]
            # A mask is turned into places, except where one number is written.
            if any(index.dtype in (torch.bool, torch.uint8) for index in indices) and (
                    'put' not in name or args[2].numel() > 1):
                self.waits.append(caller())
        if name in WAITING or func is torch.ops.aten.repeat_interleave.Tensor and kwargs.get('output_size') is None:
            self.waits.append(caller())


@cache
def is_composite(func: OpOverload) -> bool:
    """Tell whether an operation consists of others. In inference mode it comes whole."""
    return torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), 'CompositeImplicitAutograd')


def caller() -> str:
    """Return file and line of the innermost code that is not of a library in `SKIPPED` or of a test device."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals.get('__name__', '').startswith(SKIPPED):
        frame = frame.f_back
    return f'{Path(frame.f_code.co_filename).name}:{frame.f_lineno}'


def _device_types(*values) -> set[str]:
    return {value.device.type for value in tree_leaves(values) if isinstance(value, Tensor)}
