"""Texts must have tokens."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vlfusion.errors import DataError
from vlfusion.models.layers.strips import is_traced


def require_tokens(text: Float[Tensor, 'batch token dim'], mask: Bool[Tensor, 'batch token'] | None,
                   remedy: str) -> None:
    """Require a real token in each text.

    On a CPU a mask without one raises DataError. On a GPU the program would wait for the device to read the mask. So
    torch asserts it on the device, and in a compiled graph too, with a RuntimeError. On a GPU that appears at a later
    operation and ends all work on the GPU, which is why `vlfusion.data.text.pad` refuses such texts before.

    Args:
        text: features of the tokens.
        mask: True for real tokens, False for padding; None if all are real.
        remedy: advice to the user.

    Raises:
        DataError: a text has no real token.
    """
    problem = 'A text of the batch has no real token.'
    if mask is None:
        if not is_traced() and text.shape[1] == 0:
            raise DataError(problem, remedy)
        return
    real = mask.any(1).all()
    if mask.device.type not in ('cpu', 'mps') or torch.compiler.is_compiling():  # torch has no assertion on MPS
        torch._assert_async(real, problem)
    elif not real:
        raise DataError(problem, remedy)
