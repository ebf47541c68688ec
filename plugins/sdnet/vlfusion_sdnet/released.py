"""Read the files that SDNet's authors released: TensorFlow checkpoints, without TensorFlow.

The `.data-00000-of-00001` file of a checkpoint holds its tensors one after another, sorted by name. SDNet's file holds
only float32 numbers, so the names and shapes of the network suffice to read it. The `.index` file beside it agrees.
"""

import math
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vlfusion.errors import CheckpointError

#: Released name of each layer; its tensors are `w<name>` and `b<name>` in a scope `layer<name>`.
LAYERS = {f'{ours}_{source}.{index}': f'{number}_{released}'
          for source, released in (('first', 'ir'), ('second', 'vi'))
          for ours, index, number in (('squeeze', 0, 1), ('squeeze', 1, 2), ('squeeze', 2, 3), ('squeeze', 3, 4),
                                      ('decompose', 0, 7), ('decompose', 2, 8), ('decompose', 4, 9))}
LAYERS |= {'fuse': '5_fuse', 'expand': '6_sept'}


def released_name(name: str) -> str:
    """Released name of a parameter of SDNet or of its decomposition.

    >>> released_name('squeeze_first.0.weight')
    'fusion_model/layer1_ir/w1_ir'
    """
    layer, _, parameter = name.rpartition('.')
    return f'fusion_model/layer{LAYERS[layer]}/{parameter[0]}{LAYERS[layer]}'


def read_data_file(path: str | os.PathLike, module: nn.Module) -> dict[str, Tensor]:
    """Read the `.data-00000-of-00001` file of a checkpoint: released name to float32 tensor.

    Kernels keep TensorFlow's order, `(height, width, in, out)`.

    Args:
        path: file to read.
        module: module with all parameters of the file under our names; only their shapes count.

    Raises:
        CheckpointError: the file is missing or has another size.
    """
    shapes = {released_name(name): kernel_shape(value) for name, value in module.state_dict().items()}
    count = sum(map(math.prod, shapes.values()))
    path = Path(path)
    if not path.is_file() or path.stat().st_size != 4 * count:
        size = f'{path.stat().st_size} bytes' if path.is_file() else 'missing'
        raise CheckpointError(f'{path} is not the data of a released SDNet: expected {4 * count} bytes, it is {size}.',
                              'Give the file that ends in .data-00000-of-00001, unchanged.')
    numbers = torch.from_numpy(np.fromfile(path, '<f4').astype(np.float32))
    names = sorted(shapes)
    parts = numbers.split([math.prod(shapes[name]) for name in names])
    return {name: part.reshape(shapes[name]).clone() for name, part in zip(names, parts, strict=True)}


def kernel_shape(value: Tensor) -> tuple[int, ...]:
    """Shape of one of our tensors in TensorFlow."""
    return tuple(value.shape[axis] for axis in (2, 3, 1, 0)) if value.ndim == 4 else tuple(value.shape)


def as_ours(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Reorder kernels as in torch, `(out, in, height, width)`."""
    return {name: value.permute(3, 2, 0, 1).contiguous() if value.ndim == 4 else value
            for name, value in state.items()}
