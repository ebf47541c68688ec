"""Released weights of a method: the mapping of their names to ours."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from vlfusion.errors import CheckpointError, listing

#: A pattern and what replaces it, as `re.sub` takes them.
Pattern = tuple[str, str | Callable[[re.Match], str]]


def convert(network: Callable[[], nn.Module], state: Mapping[str, Shaped[Tensor, '...']],
            released_name: Callable[[str], str] | Sequence[Pattern], *, remedy: str,
            dropped: str = '') -> dict[str, Shaped[Tensor, '...']]:
    """Give the tensors of a released state the names of our network.

    Args:
        network: class of our network; built without arguments, it has the names that were released.
        state: tensors by released name; a prefix `module.` is removed.
        released_name: function from our names to released ones, or patterns for `by_patterns`.
        remedy: advice to the user in the error, such as which file to give instead.
        dropped: pattern of released names to drop, because no output depends on them.

    Returns:
        A state that the network loads.

    Raises:
        CheckpointError: names are missing or unknown.
    """
    state = {name: value for name, value in without_prefix(state).items()
             if not (dropped and re.search(dropped, name))}
    with torch.device('meta'):  # only names are needed, no memory
        names = {name: released_name(name) if callable(released_name) else by_patterns(name, released_name)
                 for name in network().state_dict()}
    return under_our_names(network.__name__, state, names, remedy)


def without_prefix(state: Mapping[str, Shaped[Tensor, '...']]) -> dict[str, Shaped[Tensor, '...']]:
    """Remove the prefix `module.`, which training on several devices adds, from the names of a state."""
    return {str(name).removeprefix('module.'): value for name, value in state.items()}


def by_patterns(name: str, patterns: Iterable[Pattern]) -> str:
    """Replace each pattern in a name, one after the other.

    >>> by_patterns('embed.0.bias', [(r'^embed', 'stem'), (r'\\.(\\d)', r'.conv\\1')])
    'stem.conv0.bias'
    """
    for pattern, replacement in patterns:
        name = re.sub(pattern, replacement, name)
    return name


def under_our_names(method: str, state: Mapping[str, Shaped[Tensor, '...']], released_names: Mapping[str, str],
                    remedy: str) -> dict[str, Shaped[Tensor, '...']]:
    """Rename a released state to the names of our network. Every name must have its counterpart.

    Args:
        method: name of the method, for the error.
        state: tensors by released name.
        released_names: released name of each of our names.
        remedy: advice to the user, such as which file to give instead.

    Raises:
        CheckpointError: names are missing or unknown.
    """
    ours = {released: name for name, released in released_names.items()}
    for problem, names in (('lacks {} of its names', ours.keys() - state.keys()),
                           ('has {} unknown names', state.keys() - ours.keys())):
        if names:
            raise CheckpointError(f'This is not a state of the released {method}: it {problem.format(len(names))}:\n'
                                  f'{listing(sorted(names))}', remedy)
    return {ours[name]: value for name, value in state.items()}
