"""Sharing of work among metrics, such as local variances and histograms.

Metrics stay pure functions. Outside a `sharing()` block, a function marked `@shared` is an ordinary function. Inside,
its result for the same tensors and arguments is kept until the block ends.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec, TypeVar

from torch import Tensor

Arguments = ParamSpec('Arguments')
Result = TypeVar('Result')

_kept: ContextVar[dict | None] = ContextVar('kept', default=None)  # None outside a block; separate in each thread


@contextmanager
def sharing() -> Iterator[None]:
    """Keep the results of `@shared` functions inside this block; a nested block uses the results of the outer block."""
    if _kept.get() is not None:
        yield
        return
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def shared(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Mark a function of tensors and hashable values whose result metrics may share. Callers must not change it.

    Tensors are compared by identity, not by value. So pass on the same object: two equal slices are two tensors.
    """
    @wraps(function)
    def once(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        kept = _kept.get()
        if kept is None:
            return function(*args, **kwargs)
        values = (*args, *sorted(kwargs.items()))
        key = function, *(id(value) if isinstance(value, Tensor) else value for value in values)
        if key not in kept:
            kept[key] = values, function(*args, **kwargs)  # keeps the arguments: a freed tensor's id may be used again
        return kept[key][1]
    return once
