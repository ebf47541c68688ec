"""Released weights in TensorFlow checkpoints, read without TensorFlow.

The `.data-00000-of-00001` file of a checkpoint holds its tensors one after another, sorted by name. If all are float32,
the names and shapes of the network suffice to read it, and the `.index` file beside it adds nothing.
"""

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from vlfusion.errors import CheckpointError


def read_data_file(path: str | os.PathLike, method: str, network: nn.Module,
                   released_name: Callable[[str], str]) -> dict[str, Float[Tensor, '...']]:
    """Read the `.data-00000-of-00001` file of a checkpoint: released name to float32 tensor.

    Kernels keep TensorFlow's order, `(height, width, in, out)`.

    Args:
        path: file to read.
        method: name of the method, for the error.
        network: module with all tensors of the file under our names; only their shapes count.
        released_name: function from our names to released ones.

    Raises:
        CheckpointError: the file is missing or has another size.
    """
    shapes = {released_name(name): _tensorflow_shape(value) for name, value in network.state_dict().items()}
    size = 4 * sum(map(math.prod, shapes.values()))
    path = Path(path)
    if not path.is_file() or path.stat().st_size != size:
        found = f'{path.stat().st_size} bytes' if path.is_file() else 'missing'
        raise CheckpointError(f'{path} is not the data of a released {method}: expected {size} bytes, it is {found}.',
                              'Give the file that ends in .data-00000-of-00001, unchanged.')
    numbers = torch.from_numpy(np.fromfile(path, '<f4').astype(np.float32))
    names = sorted(shapes)
    parts = numbers.split([math.prod(shapes[name]) for name in names])
    return {name: part.reshape(shapes[name]).clone() for name, part in zip(names, parts, strict=True)}


def with_torch_kernels(state: Mapping[str, Shaped[Tensor, '...']]) -> dict[str, Shaped[Tensor, '...']]:
    """Reorder the kernels of a state from `(height, width, in, out)` to torch's `(out, in, height, width)`."""
    return {name: value.permute(3, 2, 0, 1).contiguous() if value.ndim == 4 else value
            for name, value in state.items()}


def _tensorflow_shape(value: Tensor) -> tuple[int, ...]:
    return tuple(value.shape[axis] for axis in (2, 3, 1, 0)) if value.ndim == 4 else tuple(value.shape)
