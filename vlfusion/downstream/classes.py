"""Class tables: which number stands for which name in the labels of a data set."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ClassTable:
    """The classes of a data set, in the order of their numbers.

    Attributes:
        names: names by number. In masks, number 0 is the first.
        void: number of the class of pixels without a label, such as 0 in MSRS; None if there is none, as for boxes.
        palette: colour `(r, g, b)` of each class; empty if the set has no palette.
    """

    names: tuple[str, ...]
    void: int | None = None
    palette: tuple[tuple[int, int, int], ...] = ()

    def __len__(self) -> int:
        return len(self.names)
