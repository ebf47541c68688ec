"""Faults of labels, each with its kind, file and line."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

from vlfusion.errors import DataError, listing

#: Kinds of faults, with what to do about each.
KINDS = {
    'no label': 'Add the label, or take the pair out of the list of names.',
    'no pair': 'Add the images, or remove the label.',
    'not readable': 'Correct the file, or take the pair out of the list of names.',
    'unknown class': 'Give the class table that the labels were made with.',
    'box outside': 'Correct the label, or check that it belongs to the image.',
    'size': 'Give each image the label that was drawn on it, in its own size.',
    'overlap': 'Take the names out of one of the two lists.',
    'disagreement': 'Find out which of the two is right before you compute a score.',
    'twice': 'Remove the copy: a detector can find the thing only once.',
}


@dataclass(frozen=True)
class Fault:
    """A fault of a label.

    Attributes:
        kind: a key of `KINDS`.
        place: file, with the number of the line if it has one, such as `labels/00001.txt:3`; or the name of a pair.
        words: what was expected and what came.
    """

    kind: str
    place: str
    words: str

    def __str__(self) -> str:
        return f'{self.place}: {self.words}'


class LabelError(DataError):
    """Labels that are missing or not valid.

    Attributes:
        faults: every fault.
    """

    def __init__(self, faults: Iterable[Fault], remedy: str = ''):
        self.faults = list(faults)
        kinds = dict.fromkeys(fault.kind for fault in self.faults)
        problem = (str(self.faults[0]) if len(self.faults) == 1 else
                   f'{len(self.faults)} faults of labels:\n{listing(map(str, self.faults))}')
        super().__init__(problem, remedy or '\n     '.join(KINDS[kind] for kind in kinds))

    def __reduce__(self) -> tuple:
        return type(self), (self.faults, self.remedy)


def at_line(path: str | os.PathLike, line: int) -> str:
    """Return the place of a line."""
    return f'{path}:{line}'
