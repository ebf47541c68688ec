"""Work that several metrics share, such as local variances and histograms, and is done once for all of them.

A metric stays a pure function: outside of `sharing()` a function marked `@shared` is called as often as it stands in
the code. Inside, its result for the same tensors and arguments is kept until the block ends.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec, TypeVar

from torch import Tensor

Arguments = ParamSpec('Arguments')
Result = TypeVar('Result')

_kept: ContextVar[dict | None] = ContextVar('kept', default=None)  # None outside of a block; of each thread its own


@contextmanager
def sharing() -> Iterator[None]:
    """Keep the results of `@shared` functions inside this block; a block inside another one uses the outer one's."""
    if _kept.get() is not None:
        yield
        return
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def shared(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Mark a function of tensors and hashable values whose result the metrics may share, and so must not change.

    A tensor is known by its identity, not by its values. So give the very object on: two slices of one tensor are two.
    """
    @wraps(function)
    def once(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        kept = _kept.get()
        if kept is None:
            return function(*args, **kwargs)
        values = (*args, *sorted(kwargs.items()))
        key = function, *(id(value) if isinstance(value, Tensor) else value for value in values)
        if key not in kept:
            kept[key] = values, function(*args, **kwargs)  # with its arguments: a freed tensor's identity is used again
        return kept[key][1]
    return once
