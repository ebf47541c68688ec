"""Checks of `convert_released`, the method of a network that renames the tensors of its released weights."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from vlfusion.errors import CheckpointError

State = dict[str, Shaped[Tensor, '...']]


def draw_state(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> State:
    """Draw a random state in float64, to compare two networks on equal weights.

    Tensors are drawn in the order of their names. Counters are 0, variances and scales lie in [0.5, 1.5], biases are
    near 0, and kernels keep the variance of their input.

    Args:
        shapes: shape of each tensor by its released name.
        seed: seed of NumPy's default generator.
    """
    generator, state = np.random.default_rng(seed), {}
    for name, shape in sorted(shapes.items()):
        if name.endswith(('num_batches_tracked', 'relative_position_index')):
            state[name] = torch.zeros(shape, dtype=torch.int64)
        elif name.endswith('running_var') or (len(shape) == 1 and name.endswith('weight')):
            state[name] = torch.from_numpy(generator.uniform(0.5, 1.5, shape))
        elif len(shape) == 1:
            state[name] = torch.from_numpy(0.1 * generator.normal(size=shape))
        else:
            state[name] = torch.from_numpy(generator.normal(size=shape) / np.sqrt(np.prod(shape[1:])))
    return state


def check_conversion(network: nn.Module, state: Mapping[str, Shaped[Tensor, '...']], *, missing: str,
                     unknown: str) -> State:
    """Check `network.convert_released`, and return the converted state.

    The result must have the names of the network, whether or not the state has the prefix `module.`. A state that lacks
    a name, has an extra one, or is already the network's own must raise a `CheckpointError` that lists the names.

    Args:
        network: network built with the arguments that the state fits.
        state: released name to tensor.
        missing: name in the state, to leave out for the incomplete state.
        unknown: name that no released file has, similar to one that it has.

    Raises:
        AssertionError: a check failed; the message says which.
    """
    convert, own = network.convert_released, network.state_dict()
    converted = convert(dict(state))
    assert converted.keys() == own.keys(), \
        f'The names differ from those of the network: {sorted(converted.keys() ^ own.keys())}.'
    prefixed = convert({f'module.{name}': value for name, value in state.items()})
    assert prefixed.keys() == converted.keys(), 'The prefix `module.` changes the result.'
    assert all(torch.equal(prefixed[name], converted[name]) for name in own), 'The prefix `module.` changes values.'
    for kind, other, listed in (
            ('incomplete', {name: value for name, value in state.items() if name != missing}, missing),
            ('extended', {**state, unknown: torch.zeros(1)}, unknown), ('own', own, 'lacks')):
        try:
            convert(other)
        except CheckpointError as error:
            assert listed in str(error), f'The error for the {kind} state does not say {listed!r}: {error}'
        else:
            raise AssertionError(f'The {kind} state is converted; expected a CheckpointError.')
    return converted
