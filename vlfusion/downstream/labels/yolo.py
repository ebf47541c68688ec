"""Boxes in the text files of YOLO."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from vlfusion.downstream.boxes import Boxes
from vlfusion.downstream.classes import Classes
from vlfusion.downstream.labels.corners import LabelledBox, as_boxes
from vlfusion.downstream.labels.faults import Fault, at_line
from vlfusion.downstream.labels.files import LabelFiles, read_text
from vlfusion.errors import ConfigError
from vlfusion.registry import LABELS

_LABEL = 'class cx cy width height'


def read_yolo(path: str | os.PathLike, size: tuple[int, int], ids: Sequence[int], scores: bool = False,
              others: bool = False) -> Boxes:
    """Read the boxes of a YOLO text file.

    Each line is `class cx cy width height`, the centre and the size as parts of the image's width and height.

    Args:
        path: the file. An empty one has no boxes.
        size: height and width of the image.
        ids: number in the file of each class of the table.
        scores: True for predictions, whose lines end with a confidence in [0, 1]. Their boxes may have no area, or
            reach out of the image.
        others: True to leave out boxes of other numbers.

    Raises:
        LabelError: the file cannot be read; a line has another form, an unknown number, or a box that is not valid or
            outside of the image. Names every such line.
    """
    numbers = {id_: number for number, id_ in enumerate(ids)}
    boxes, faults = [], []
    for count, line in enumerate(read_text(Path(path)).splitlines(), 1):
        if line.strip():
            box = _box(line.split(), at_line(path, count), size, numbers, scores)
            if isinstance(box, LabelledBox):
                boxes.append(box)
            elif not (others and box.kind == 'unknown class'):
                faults.append(box)
    return as_boxes(boxes, size, faults, bounded=not scores)


def _box(words: list[str], place: str, size: tuple[int, int], numbers: dict[int, int],
         scores: bool) -> LabelledBox | Fault:
    form = f'{_LABEL} confidence' if scores else _LABEL
    if len(words) != 5 + scores:
        hint = ('; the sixth may be the confidence of a prediction' if len(words) == 6 else
                '; a prediction has a confidence at its end' if len(words) == 5 else
                '; outlines are not boxes' if len(words) > 6 else '')
        return Fault('not readable', place, f'holds {len(words)} values; expected {form}{hint}')
    try:
        values = list(map(float, words))
    except ValueError:
        return Fault('not readable', place, f'{" ".join(words)!r} are not all numbers; expected {form}')
    if not all(map(math.isfinite, values)):
        return Fault('not readable', place, f'{" ".join(words)!r} are not all finite')
    if values[0] not in numbers:
        known = ', '.join(map(str, numbers)) if len(numbers) < 20 else f'0 to {max(numbers)}'
        return Fault('unknown class', place, f'the class is {words[0]}; expected one of {known}')
    _, cx, cy, across, down, *score = values
    if min(across, down) < 0 or not (scores or across and down):
        return Fault('not readable', place, f'the box has the size {across:g} x {down:g}; expected more than 0')
    if score and not 0 <= score[0] <= 1:
        return Fault('not readable', place, f'the confidence is {score[0]:g}; expected 0 to 1')
    height, width = size
    corners = ((cx - across / 2) * width, (cy - down / 2) * height, (cx + across / 2) * width, (cy + down / 2) * height)
    if max(map(abs, (cx, cy, across, down))) > 2:
        return Fault('box outside', place, f'centre ({cx:g}, {cy:g}) and size {across:g} x {down:g} are not parts of '
                                           'the image between 0 and 1; they may be pixels')
    return LabelledBox(place, numbers[int(values[0])], corners, score=score[0] if score else None)


@LABELS.register_module()
class YOLOLabels(LabelFiles):
    """Boxes in a text file for each image, as YOLO reads them: M3FD, and most sets that are converted for training.

    Lines are `class cx cy width height`, as parts of the image's width and height. A file without lines is an image
    without things.

    The numbers mean nothing without the table that they were made with. M3FD has two in use, which swap Lamp and
    Motorcycle; if XML labels are there too, `vlfusion downstream check` compares the names.

    Args:
        place: folder or pattern of the `.txt` files.
        classes: the class table.
        data_root: folder that `place` is relative to.
        ids: number in the files of each class of the table, such as `[0, 2]` for person and car of COCO; None counts
            from 0.
        missing: `error`, or `empty` for an image without a file to be one without things, as YOLO's own loaders take
            it.

    Raises:
        DataError: there are no such files, or several have one name.
        ConfigError: `ids` do not fit the class table.
    """

    kind = 'boxes'
    suffixes = ('.txt',)

    def __init__(self, place: str, classes: Classes, data_root: str | os.PathLike = '.', *,
                 ids: Sequence[int] | None = None, missing: Literal['error', 'empty'] = 'error'):
        super().__init__(place, classes, data_root)
        self.missing = missing
        self.ids = tuple(range(len(self.classes)) if ids is None else ids)
        if len({*self.ids}) != len(self.ids) or len(self.ids) != len(self.classes):
            raise ConfigError(f'ids={list(self.ids)} does not fit the {len(self.classes)} classes '
                              f'{", ".join(self.classes.names)}.', 'Give each class the number that its boxes have.')

    def has(self, name: str) -> bool:
        return self.missing == 'empty' or super().has(name)

    def read(self, name: str, size: tuple[int, int]) -> Boxes:
        if self.missing == 'empty' and self.listed(name) not in self.files:
            return as_boxes([], size)
        return read_yolo(self._file(name), size, self.ids)
