"""A decorator that turns a function into a loss term whose only setting is its weight."""

from collections.abc import Callable
from functools import partial

from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.registry import LOSSES

#: Luminance in [0, 1].
Image = Float[Tensor, 'batch 1 h w']
#: Value of a loss.
Scalar = Float[Tensor, '']


def loss(function: Callable[..., Tensor] | None = None, *, weight: float = 1.0):
    """Register a function `(fused, source_a, source_b) -> scalar` in `LOSSES` under its own name.

    Images are luminance `(batch, 1, h, w)` in [0, 1]. A function that names more arguments (`truth`, `text`) gets them
    from the sample. The decorated name becomes a module class whose only argument is `weight`, its factor in the total.
    Write a class by hand if the loss has further settings.

    Args:
        function: loss to register.
        weight: default weight.

    >>> import torch
    >>> @loss
    ... def BrightnessLoss(fused, source_a, source_b):
    ...     '''Absolute difference between the mean levels of the fused image and of source A.'''
    ...     return (fused.mean() - source_a.mean()).abs()
    >>> BrightnessLoss()(torch.full((1, 1, 2, 2), 0.5), torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2))
    tensor(0.5000)
    >>> BrightnessLoss(weight=3.0).weight
    3.0
    """
    if function is None:
        return partial(loss, weight=weight)
    default = weight

    def __init__(self, weight: float = default):
        nn.Module.__init__(self)
        self.weight = weight

    return LOSSES.register_module(module=type(function.__name__, (nn.Module,), {
        '__init__': __init__, 'forward': staticmethod(function), '__doc__': function.__doc__,
        '__module__': function.__module__, '__qualname__': function.__qualname__}))
