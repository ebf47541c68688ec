"""Texts must be there, have the width that a network was built for, and have tokens."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vlfusion.errors import ConfigError, DataError
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


def checked_text(backbone: nn.Module, text: Float[Tensor, 'batch token dim'] | None,
                 mask: Bool[Tensor, 'batch token'] | None, dim: int,
                 name: str = 'text') -> Float[Tensor, 'batch token dim']:
    """Return the token features of each text, after checks.

    Args:
        backbone: the network that reads the text, for the errors.
        text: features of the tokens.
        mask: True for a real token, False for padding; None if all are real.
        dim: width that the network was built for.
        name: keyword of the text, for the errors.

    Raises:
        ConfigError: no text is given, or the width of its features is not `dim`.
        DataError: a text of the batch has no real token.
    """
    kind, keyed = type(backbone).__name__, 'dict(fixed=...)' if name == 'text' else f'dict({name}=dict(fixed=...))'
    if text is None:
        raise ConfigError(f'{kind} is guided by a text, but its argument `{name}` is None.',
                          f"Give the data set one, such as text_source={keyed}.")
    if text.shape[-1] != dim:
        raise ConfigError(f'{kind} was built for text features of width {dim}, but `{name}` has width '
                          f'{text.shape[-1]}.', f'Set text_dim={text.shape[-1]} in the config of the backbone.')
    require_tokens(text, mask, f'Give every pair a text as `{name}`.')
    return text
