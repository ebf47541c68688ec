"""States of models: tensors by name, loaded strictly, and written as `.safetensors` with the experiment inside."""

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Shaped
from safetensors.torch import save
from torch import Tensor, nn

from vlfusion.errors import CheckpointError, listing
from vlfusion.files import strict_json, write_whole
from vlfusion.zoo.metadata import COPY, EXPERIMENT, META


def load_strictly(model: nn.Module, state: dict[str, Shaped[Tensor, '...']], origin: str,
                  new: tuple[str, ...] = ()) -> list[str]:
    """Load a state whose names, shapes and types must all fit the model.

    Args:
        model: the model.
        state: tensors by name.
        origin: file or name of the state, for errors.
        new: beginnings of names that the state may lack; those parts of the model stay as they are.

    Returns:
        The names that the state lacks.

    Raises:
        CheckpointError: names the tensors that are missing, are unexpected, or have another shape or type.
    """
    check_state(state, origin)
    own = model.state_dict()
    lacking = [name for name in own if name not in state]
    problems = [f'missing: {name}' for name in lacking if not name.startswith(new)]
    problems += [f'unexpected: {name}' for name in state if name not in own]
    problems += [f'shape of {name}: {tuple(state[name].shape)} in the file, {tuple(own[name].shape)} in the model'
                 for name in own if name in state and state[name].shape != own[name].shape]
    problems += [f'type of {name}: {state[name].dtype} in the file, {own[name].dtype} in the model'
                 for name in own if name in state and _kind(state[name]) != _kind(own[name])]
    if problems:
        raise CheckpointError(f'{origin} does not fit the model:\n{listing(problems)}',
                              'Use the config that the checkpoint was trained with. Convert released weights with '
                              'convert-weights first.')
    model.load_state_dict(state, strict=False)
    return lacking


def check_state(state: Any, origin: str) -> None:
    """Raise CheckpointError, which names the key, unless a state consists of plain tensors by name."""
    if not isinstance(state, Mapping):
        raise CheckpointError(f'{origin} holds state_dict as a {type(state).__name__}; expected tensors by name.', COPY)
    for name, tensor in state.items():
        if not isinstance(name, str):
            raise CheckpointError(f'{origin} holds {name!r} as the name of a tensor; expected a string.', COPY)
        plain = isinstance(tensor, Tensor) and tensor.layout is torch.strided and not tensor.is_quantized
        if not plain or tensor.is_meta:
            what = f'a tensor ({tensor.layout}, {tensor.dtype}, on {tensor.device})' if isinstance(
                tensor, Tensor) else f'a {type(tensor).__name__}'
            raise CheckpointError(f'{origin} holds {name} in its state_dict as {what}; expected a plain tensor.', COPY)


def _kind(tensor: Shaped[Tensor, '...']) -> str:
    """Return `complex`, `float` or `int`; conversion between these kinds could change values."""
    return 'complex' if tensor.is_complex() else 'float' if tensor.is_floating_point() else 'int'


def write_state(path: str | os.PathLike, state: Mapping[str, Shaped[Tensor, '...']], meta: Mapping[str, Any]) -> None:
    """Write a checkpoint of vlfusion.

    Args:
        path: the file. `.safetensors` holds `meta` as JSON in its metadata; every other ending means torch's format.
        state: tensors by name.
        meta: plain data: `vlfusion` with the experiment, and the origin of the weights.

    Raises:
        OSError, DataError: the file cannot be written.
    """
    if Path(path).suffix == '.safetensors':
        tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
        rest = {key: value for key, value in meta.items() if key != EXPERIMENT}
        write_whole(path, _ordered(save(tensors, {EXPERIMENT: strict_json(meta[EXPERIMENT], indent=None),
                                                  META: strict_json(rest, indent=None)})))
        return
    buffer = io.BytesIO()
    torch.save(dict(state_dict=dict(state), meta=dict(meta)), buffer)
    write_whole(path, buffer.getbuffer())


def _ordered(content: bytes) -> bytes:
    """Sort the metadata in the header of a `.safetensors` file, so that equal checkpoints have equal bytes.

    safetensors itself writes metadata in random order. The file begins with the length of its header, in 8 bytes.
    """
    length = int.from_bytes(content[:8], 'little')
    header = json.loads(content[8:8 + length])
    header['__metadata__'] = dict(sorted(header['__metadata__'].items()))
    text = json.dumps(header, separators=(',', ':'), ensure_ascii=False).encode()
    text += b' ' * (-len(text) % 8)
    return len(text).to_bytes(8, 'little') + text + content[8 + length:]
