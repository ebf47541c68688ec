"""Checks of a network whose released weights are converted: drawn states, and what `convert_released` must refuse."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from vlfusion.errors import CheckpointError

State = dict[str, Shaped[Tensor, '...']]


def draw_state(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> State:
    """A random state in float64, drawn in the order of the names, for comparing two networks on equal weights.

    Counters are 0. Variances and scales lie in [0.5, 1.5], biases near 0, and kernels keep the variance of their input.

    Args:
        shapes: shape of each tensor by its released name.
        seed: of NumPy's default generator.
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

    The result has the names of the network, with and without the prefix `module.`. A state that lacks a name, has one
    too many, or is the network's own raises a `CheckpointError` that lists the names.

    Args:
        network: of the arguments that the state fits.
        state: released name to tensor.
        missing: name in the state that an incomplete file lacks.
        unknown: name that no released file has, near those that it has.

    Raises:
        AssertionError: the check that failed.
    """
    convert, own = network.convert_released, network.state_dict()
    converted = convert(dict(state))
    assert converted.keys() == own.keys(), f'Not the names of the network: {sorted(converted.keys() ^ own.keys())}.'
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
