"""Backbones that fuse any number of sources at once.

A backbone declares it by the attribute `sources = None`, and has a method

    fuse_stack(sources) -> (batch, 1, h, w)

`sources` has a length and can be iterated over several times. Each time it gives the luminance of every source in
[0, 1], `(batch, 1, h, w)`, in order. Files are read again at each iteration, so a method that adds up what it needs of
each source holds one of them in memory. Two sources give the result of `forward`.
`vlfusion.testing.check_backbone` tests both. A backbone without the attribute fuses pairs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Stack(Protocol):
    """Sources of one scene, such as a list of tensors, or files that are read at each iteration."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Float[Tensor, 'batch 1 h w']]: ...


def fuses_stacks(backbone: Any) -> bool:
    """Tell whether a backbone takes any number of sources; others take two."""
    return getattr(backbone, 'sources', 2) is None


@dataclass(frozen=True)
class Counted:
    """A stack that reports its sources as they are read: the number read and the number of all."""

    sources: Stack
    report: Callable[[int, int], None]

    def __len__(self) -> int:
        return len(self.sources)

    def __iter__(self) -> Iterator[Tensor]:
        for number, source in enumerate(self.sources, 1):
            yield source
            self.report(number, len(self.sources))


@dataclass(frozen=True)
class Mapped:
    """A stack whose sources go through a function as they are read, for example one that cuts a window out."""

    sources: Stack
    function: Callable[[Tensor], Tensor]

    def __len__(self) -> int:
        return len(self.sources)

    def __iter__(self) -> Iterator[Tensor]:
        return map(self.function, self.sources)
