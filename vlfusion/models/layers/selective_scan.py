"""The selective scan of Mamba (Gu and Dao, 2023, equations 2a and 2b and algorithm 2), without a kernel of its own.

A state of `dim x states` numbers walks along a sequence. At each place it decays, takes something in, and is read:

    h_t = exp(delta_t A) h_{t-1} + delta_t B_t x_t,      y_t = C_t h_t + D x_t

The plain recurrence takes one small step for each place. Here the sequence is cut into about as many chunks as a chunk
has places, and all chunks step together. A first pass finds what each chunk would hand on if it began empty. A short
recurrence over the chunks then gives the state with which each begins, and a second pass reads it at each place. So
`length` small steps become `3 length ** 0.5` large ones, for twice the operations.

States are only ever multiplied by `exp(delta A)`, which lies in (0, 1]. Nothing is divided by a product of decays,
which would vanish over a long sequence. `performance/selective_scan.py` measures the gain.
"""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from vlfusion.models.layers.autocast import without_autocast


def selective_scan(x: Float[Tensor, 'batch dim length'], delta: Float[Tensor, 'batch dim length'],
                   a: Float[Tensor, 'dim state'], b: Float[Tensor, 'batch state length'],
                   c: Float[Tensor, 'batch state length'], d: Float[Tensor, ' dim'] | None = None,
                   chunk: int | None = None) -> Float[Tensor, 'batch dim length']:
    """Scan a sequence. Each channel has its own state; all channels of an image share `b` and `c`.

    Numbers are at least float32, also under autocast. The states of one place of all chunks are in memory at a time,
    `batch x length / chunk x dim x state` numbers. Training keeps `2 chunk ** 0.5` of them and recomputes the others in
    the backward pass, as many at a time.

    Args:
        x: the sequence.
        delta: step at each place, positive: a large one forgets and takes in.
        a: rate of each state, negative.
        b: weights by which the states take in.
        c: weights by which the states are read.
        d: weight of `x` itself; none by default.
        chunk: places of a chunk; about `length ** 0.5` by default.

    >>> one, half = torch.ones(1, 1, 4), torch.tensor([[0.5]])
    >>> selective_scan(one, one, half.log(), one, one)  # the state halves and takes in 1
    tensor([[[1.0000, 1.5000, 1.7500, 1.8750]]])
    """
    dtype = torch.promote_types(x.dtype, torch.float32)
    length = x.shape[-1]
    chunk = chunk or math.isqrt(length - 1) + 1
    with without_autocast(x.device):
        x, delta, a, b, c = (tensor.to(dtype) for tensor in (x, delta, a, b, c))
        steps, intake, write, read = (_by_place(tensor, chunk) for tensor in (delta, delta * x, b, c))
        a = a.mT
        empty = x.new_zeros(*intake.shape[1:3], *a.shape)  # (batch, chunks, state, dim)
        handed, _ = _walk(_step, empty, a, steps, intake, write)
        begin = _join(handed, (steps.sum(0)[..., None, :] * a).exp())
        _, y = _walk(_step_and_read, begin, a, steps, intake, write, read)
        y = y.permute(1, 3, 2, 0).flatten(2)[..., :length]
        return y if d is None else torch.addcmul(y, x, d.to(dtype)[:, None])


def _by_place(sequence: Float[Tensor, 'batch channel length'],
              chunk: int) -> Float[Tensor, 'chunk batch chunks channel']:
    """Put the same place of all chunks together. Zeros fill the last chunk: no step, no decay, nothing taken in."""
    padded = F.pad(sequence, (0, -sequence.shape[-1] % chunk))
    return padded.unflatten(-1, (-1, chunk)).permute(3, 0, 2, 1).contiguous()


def _join(handed: Float[Tensor, 'batch chunks state dim'],
          kept: Float[Tensor, 'batch chunks state dim']) -> Float[Tensor, 'batch chunks state dim']:
    """Return the state with which each chunk begins: what the chunk before began with, decayed, and what it adds."""
    states = [torch.zeros_like(handed[:, 0])]
    for index in range(handed.shape[1] - 1):
        states.append(torch.addcmul(handed[:, index], kept[:, index], states[-1]))
    return torch.stack(states, 1)


def _walk(advance: Callable, state: Tensor, a: Tensor, *sequences: Tensor) -> tuple[Tensor, Tensor | None]:
    """Walk through all places of the chunks. Training keeps some states on the way and recomputes the rest."""
    places = len(sequences[0])
    learns = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (state, a, *sequences))
    stretch = math.isqrt(places - 1) + 1 if learns else places
    outputs = []
    for parts in zip(*(tensor.split(stretch) for tensor in sequences), strict=True):
        if learns:
            state, *output = checkpoint(_walk_stretch, advance, state, a, *parts, use_reentrant=False)
        else:
            state, *output = _walk_stretch(advance, state, a, *parts)
        outputs += output
    return state, torch.cat(outputs) if outputs else None


def _walk_stretch(advance: Callable, state: Tensor, a: Tensor, *sequences: Tensor) -> tuple[Tensor, ...]:
    outputs: list[Tensor] = []
    for place in zip(*(tensor.unbind() for tensor in sequences), strict=True):
        state = advance(state, a, place, outputs)
    return (state, torch.stack(outputs)) if outputs else (state,)


def _step(state: Tensor, a: Tensor, place: Sequence[Tensor], _: list[Tensor]) -> Tensor:
    step, intake, write = place[:3]
    kept = (step[..., None, :] * a).exp() * state
    return torch.addcmul(kept, write[..., None], intake[..., None, :])


def _step_and_read(state: Tensor, a: Tensor, place: Sequence[Tensor], outputs: list[Tensor]) -> Tensor:
    state = _step(state, a, place, outputs)
    outputs.append((place[3][..., None, :] @ state).squeeze(-2))
    return state
