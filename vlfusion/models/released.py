"""Released weights of a method: which files a user has to fetch, and their names under ours."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from vlfusion.errors import CheckpointError, listing

#: A pattern and what replaces it, as `re.sub` takes them.
Pattern = tuple[str, str | Callable[[re.Match], str]]


@dataclass(frozen=True)
class ReleasedWeights:
    """One set of released weights of a backbone, which lists its own in the class attribute `released`, by name.

    Attributes:
        files: the SHA-256 of each file by its name, in the order in which `convert_released` takes their contents.
        source: where a user gets them.
        licence: theirs; `none stated` where the authors say nothing.
        task: what their authors fuse with them: `ivf`, `mif`, `mef` or `mff`.
        protocol: how their authors make grey levels of an output, as `vlfusion.imaging.protocol` names it.
        arguments: of the backbone that they fit.
    """

    files: Mapping[str, str]
    source: str
    licence: str
    task: str
    protocol: str = 'plain'
    arguments: Mapping = field(default_factory=dict)


def convert(network: Callable[[], nn.Module], state: Mapping[str, Shaped[Tensor, '...']],
            released_name: Callable[[str], str] | Sequence[Pattern], *, remedy: str,
            dropped: str = '') -> dict[str, Shaped[Tensor, '...']]:
    """Give the tensors of a released state the names of our network.

    Args:
        network: class of our network; built without arguments, it has the names that were released.
        state: released name to tensor; a prefix `module.` is removed.
        released_name: gives the released name of one of ours: a function, or patterns for `by_patterns`.
        remedy: which file to give instead, for the error.
        dropped: pattern of released names that no output depends on.

    Returns:
        A state that the network loads.

    Raises:
        CheckpointError: the state lacks names of the method, or has others.
    """
    state = {name: value for name, value in without_prefix(state).items()
             if not (dropped and re.search(dropped, name))}
    with torch.device('meta'):  # names alone, no memory
        names = {name: released_name(name) if callable(released_name) else by_patterns(name, released_name)
                 for name in network().state_dict()}
    return under_our_names(network.__name__, state, names, remedy)


def without_prefix(state: Mapping[str, Shaped[Tensor, '...']]) -> dict[str, Shaped[Tensor, '...']]:
    """The state without the `module.` that training on several devices puts before names."""
    return {str(name).removeprefix('module.'): value for name, value in state.items()}


def by_patterns(name: str, patterns: Iterable[Pattern]) -> str:
    """Replace each pattern in a name, one after the other.

    >>> by_patterns('embed.0.bias', [(r'^embed', 'stem'), (r'\\.(\\d)', r'.conv\\1')])
    'stem.conv0.bias'
    """
    for pattern, released in patterns:
        name = re.sub(pattern, released, name)
    return name


def under_our_names(method: str, state: Mapping[str, Shaped[Tensor, '...']], released_names: Mapping[str, str],
                    remedy: str) -> dict[str, Shaped[Tensor, '...']]:
    """A released state under the names of our network, each of which must find its place.

    Args:
        method: whose it is, for the error.
        state: released name to tensor.
        released_names: what the released code calls each of our names.
        remedy: which file to give instead.

    Raises:
        CheckpointError: names that are missing, or that the method does not have.
    """
    ours = {released: name for name, released in released_names.items()}
    for problem, names in (('lacks {} of its names', ours.keys() - state.keys()),
                           ('has {} unknown names', state.keys() - ours.keys())):
        if names:
            raise CheckpointError(f'This is not a state of the released {method}: it {problem.format(len(names))}:\n'
                                  f'{listing(sorted(names))}', remedy)
    return {ours[name]: value for name, value in state.items()}
